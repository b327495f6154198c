//! Sessions alone; with partitions in `tests/fetching.rs` and `tests/fetch_sessions.rs`.

use super::*;

fn target(partition: i32, offset: i64) -> Target {
    Target {
        topic: TopicRef {
            name: StrBytes::from_static_str("t"),
            id: TopicId::nil(),
        },
        partition,
        offset,
        max_bytes: 1 << 20,
        leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn request(id: i32, epoch: i32, targets: Vec<Target>) -> SessionRequest {
    SessionRequest {
        id,
        epoch,
        uses_ids: false,
        targets,
        forgotten: Vec::new(),
    }
}

fn due(session: &Mutex<Session>) -> Vec<Target> {
    let due = session.lock().due(false);
    due.into_iter().map(|due| due.target).collect()
}

fn open(sessions: &FetchSessions, targets: &[Target]) -> i32 {
    let session = sessions.open(false, targets, 10, Instant::now()).unwrap();
    session.lock().id()
}

#[test]
fn each_request_of_a_session_must_have_the_next_epoch() {
    let sessions = FetchSessions::default();
    let now = Instant::now();
    let id = open(&sessions, &[target(0, 0)]);
    assert!(sessions.begin(request(id, 1, vec![]), now).is_ok());
    assert_eq!(
        sessions.begin(request(id, 1, vec![]), now).err(),
        Some(ResponseError::InvalidFetchSessionEpoch)
    );
    assert!(sessions.begin(request(id, 2, vec![]), now).is_ok());
    assert_eq!(
        sessions.begin(request(id ^ 1, 1, vec![]), now).err(),
        Some(ResponseError::FetchSessionIdNotFound)
    );
}

#[test]
fn partitions_are_changed_added_and_forgotten() {
    let sessions = FetchSessions::default();
    let id = open(&sessions, &[target(0, 0), target(1, 0)]);
    let mut change = request(id, 1, vec![target(1, 7), target(2, 3)]);
    change.forgotten = vec![(target(0, 0).topic, 0)];
    let Ok(Mode::Incremental(session)) = sessions.begin(change, Instant::now()) else {
        panic!("no session");
    };
    assert_eq!(due(&session), vec![target(1, 7), target(2, 3)]);
}

#[test]
fn a_session_without_partitions_is_closed() {
    let sessions = FetchSessions::default();
    let id = open(&sessions, &[target(0, 0)]);
    let mut change = request(id, 1, vec![]);
    change.forgotten = vec![(target(0, 0).topic, 0)];
    let mode = sessions.begin(change, Instant::now());
    assert!(matches!(mode, Ok(Mode::Sessionless(targets)) if targets.is_empty()));
    assert!(
        sessions
            .begin(request(id, 2, vec![]), Instant::now())
            .is_err()
    );
}

#[test]
fn a_full_fetch_closes_the_session_that_it_names() {
    let sessions = FetchSessions::default();
    let id = open(&sessions, &[target(0, 0)]);
    let again = sessions.begin(
        request(id, INITIAL_EPOCH, vec![target(0, 0)]),
        Instant::now(),
    );
    assert!(matches!(again, Ok(Mode::Full { .. })));
    assert!(
        sessions
            .begin(request(id, 1, vec![]), Instant::now())
            .is_err()
    );
}

#[test]
fn names_and_ids_are_not_mixed_in_a_session() {
    let sessions = FetchSessions::default();
    let id = open(&sessions, &[target(0, 0)]);
    let mut with_ids = request(id, 1, vec![]);
    with_ids.uses_ids = true;
    assert_eq!(
        sessions.begin(with_ids, Instant::now()).err(),
        Some(ResponseError::FetchSessionTopicIdError)
    );
}

#[test]
fn only_news_is_told_and_who_got_data_goes_last() {
    let mut session = Session::new(1, false, &[target(0, 0), target(1, 0)]);
    let first = session.number(&target(0, 0)).unwrap();
    let mut tell = |urgent, has_records, high_watermark, start| {
        session.must_tell(first, urgent, has_records, high_watermark, start)
    };
    assert!(tell(false, false, 5, 0), "first");
    assert!(!tell(false, false, 5, 0), "same");
    assert!(tell(false, true, 5, 0), "records");
    assert!(tell(true, false, -1, -1), "error");
    assert!(tell(false, false, 5, 0), "after");
    assert_eq!(due(&Mutex::new(session)), vec![target(1, 0), target(0, 0)]);
}

/// A look at all that is due, each partition at its end at 5.
fn look_at_end(session: &mut Session) -> (usize, Outlook) {
    let due = session.due(false);
    let seen = Seen {
        exists: true,
        at_end: true,
        high_watermark: 5,
        log_start_offset: 0,
    };
    let outlook = session.looked(due.iter().map(|due| (due, seen)));
    (due.len(), outlook)
}

fn quiet(partitions: i32) -> Session {
    let targets: Vec<Target> = (0..partitions).map(|p| target(p, 5)).collect();
    let mut session = Session::new(1, false, &targets);
    for due in session.due(false) {
        assert!(session.must_tell(due.number, false, false, 5, 0));
    }
    assert_eq!(look_at_end(&mut session).0, partitions as usize);
    assert!(session.due(false).is_empty());
    session
}

#[test]
fn what_is_quiet_is_looked_at_again_when_its_bell_rings_or_it_is_asked_for() {
    let mut session = quiet(1000);
    let bells = {
        session.put(target(7, 6));
        let due = session.due(false);
        assert_eq!(due.len(), 1);
        due
    };
    assert_eq!(look_at_end(&mut session).0, 1);
    for _ in 0..3 {
        ottla_storage::DataWatcher::data_available(&*bells[0].bell);
    }
    let due = session.due(false);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].target, target(7, 6));
    assert!(look_at_end(&mut session).1.any);
    assert!(session.due(false).is_empty());
}

#[test]
fn readers_of_committed_records_have_another_end() {
    let mut session = quiet(3);
    assert_eq!(session.due(true).len(), 3);
}

#[test]
fn what_has_news_or_more_to_read_stays_due() {
    let mut session = quiet(1);
    session.put(target(0, 6));
    let due = session.due(false);
    let seen = |high_watermark, log_start_offset, at_end| Seen {
        exists: true,
        at_end,
        high_watermark,
        log_start_offset,
    };
    for seen in [seen(6, 0, true), seen(5, 1, true), seen(5, 0, false)] {
        session.looked([(&due[0], seen)].into_iter());
        assert_eq!(session.due(false).len(), 1, "{seen:?}");
    }
}

#[test]
fn a_look_does_not_quiet_what_a_later_request_asks_for() {
    let mut session = quiet(1);
    session.put(target(0, 5));
    let due = session.due(false);
    session.put(target(0, 2));
    let seen = Seen {
        exists: true,
        at_end: true,
        high_watermark: 5,
        log_start_offset: 0,
    };
    session.looked([(&due[0], seen)].into_iter());
    assert_eq!(due_offsets(&mut session), [2]);
}

fn due_offsets(session: &mut Session) -> Vec<i64> {
    session.due(false).iter().map(|d| d.target.offset).collect()
}

#[test]
fn a_partition_that_goes_is_noticed_once_and_asked_for_each_time() {
    let mut session = quiet(2);
    session.put(target(0, 5));
    let gone = Seen {
        exists: false,
        at_end: false,
        high_watermark: -1,
        log_start_offset: -1,
    };
    for deleted in [true, false] {
        let due = session.due(false);
        assert_eq!(due.len(), 1);
        let outlook = session.looked([(&due[0], gone)].into_iter());
        assert_eq!(outlook, Outlook { deleted, any: true });
    }
    let key = (target(1, 0).topic, 1);
    session.forget(&key);
    let due = session.due(false);
    let outlook = session.looked([(&due[0], gone)].into_iter());
    assert!(!outlook.any, "nothing could be waited for");
}

#[test]
fn a_full_cache_gives_way_only_to_who_deserves_it() {
    let sessions = FetchSessions::default();
    let start = Instant::now();
    let small = [target(0, 0)];
    let large = [target(0, 0), target(1, 0)];
    assert!(sessions.open(false, &small, 1, start).is_some());
    assert!(sessions.open(false, &large, 1, start).is_none());
    let later = start + EVICTION_AGE + Duration::from_secs(1);
    assert!(sessions.open(false, &small, 1, later).is_some());
}
