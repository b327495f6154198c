//! Flipped bits in every kind of file, and files that are gone: a clear error or the right data, never a panic, never wrong data.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use ottla_codec::batch::{HEADER_LEN, check_all};
use ottla_codec::records::{BatchBuilder, Record};

use crate::fs::Fs;
use crate::fs::sim::SimFs;
use crate::simulation::{options, read_bytes, tuning};
use crate::{AppendContext, Durability, NewTopic, OpenError, Partition, Store, TopicId};

const TOPIC: TopicId = TopicId::from_u128(5);
const BATCHES: i64 = 40;
const DIR: &str = "/data/topics/orders-0";

fn open(fs: &SimFs) -> Result<Store, OpenError> {
    let options = options(Durability::Disk);
    Store::open_stepped(Arc::new(fs.clone()), Path::new("/data"), options, tuning())
}

/// The bytes of each batch (two records), by its base offset.
type Expected = BTreeMap<i64, Vec<u8>>;

fn filled(close: bool) -> (SimFs, Expected) {
    let fs = SimFs::new(1);
    let store = open(&fs).unwrap();
    let new = NewTopic {
        id: TOPIC,
        name: "orders".to_owned(),
        partitions: 1,
        configs: BTreeMap::from([("segment.bytes".to_owned(), "4000".to_owned())]),
        created_ms: 0,
    };
    store.create_topic(new).unwrap().unwrap();
    let p = store.partition(&TOPIC, 0).unwrap();
    let mut expected = Expected::new();
    for i in 0..BATCHES {
        let records: Vec<Record> = (0..2)
            .map(|offset| Record {
                offset,
                timestamp: i * 10 + offset,
                key: None,
                value: Some(vec![i as u8; 150].into()),
                headers: Vec::new(),
            })
            .collect();
        let mut bytes = BytesMut::from(&BatchBuilder::default().build(&records)[..]);
        let headers = check_all(&bytes).unwrap();
        p.append(bytes.clone(), &headers, AppendContext::at(1))
            .unwrap();
        ottla_codec::batch::set_offset_and_epoch(&mut bytes, i * 2, 0);
        expected.insert(i * 2, bytes.to_vec());
        store.inner().step_writer();
    }
    if close {
        store.close().unwrap();
    }
    drop((p, store));
    fs.kill();
    (fs, expected)
}

/// What a client would take: batches up to the first whose CRC, or whose offset, is wrong.
fn taken(bytes: &[u8], mut next: i64) -> Vec<(i64, &[u8])> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while rest.len() > HEADER_LEN {
        let len = i32::from_be_bytes(rest[8..12].try_into().unwrap());
        let Some((batch, behind)) = usize::try_from(len)
            .ok()
            .and_then(|len| rest.split_at_checked(len + 12))
        else {
            break;
        };
        match check_all(batch) {
            Ok(h) if h[0].base_offset == next => next = h[0].next_offset(),
            _ => break,
        }
        out.push((next - 2, batch));
        rest = behind;
    }
    out
}

/// Reads from every offset; returns how many reads gave less than all.
fn read_everywhere(p: &Partition, expected: &Expected, end: i64) -> usize {
    let mut short = 0;
    for offset in p.log_start_offset()..end {
        let base = offset - offset % 2;
        match read_bytes(p, offset, 1000) {
            Ok(bytes) => {
                let found = taken(&bytes, base);
                short += usize::from(found.is_empty());
                for (base, batch) in found {
                    // The leader epoch (12..16) is the one field that neither a CRC nor an offset covers.
                    let right = &expected[&base];
                    assert!(batch[..12] == right[..12] && batch[16..] == right[16..]);
                }
            }
            Err(e) => {
                assert!(e.contains("damaged"), "{e}");
                short += 1;
            }
        }
    }
    short
}

fn look_up_times(p: &Partition) {
    for i in 0..BATCHES {
        // A wrong answer would make a consumer skip records.
        match p.offset_for_timestamp(i * 10) {
            Ok(found) => assert_eq!(found.unwrap().offset, i * 2),
            Err(e) => assert!(matches!(e, crate::ReadError::Corrupt { .. }), "{e}"),
        }
    }
}

fn files(fs: &SimFs, extension: &str) -> Vec<(PathBuf, u64)> {
    let mut files = fs.files();
    files.retain(|(p, len)| p.extension().is_some_and(|e| e == extension) && *len > 0);
    assert!(!files.is_empty());
    files
}

#[test]
fn a_flipped_bit_in_an_index_costs_nothing_and_is_mended() {
    let (fs, expected) = filled(true);
    for (path, len) in [files(&fs, "index"), files(&fs, "timeindex")].concat() {
        for at in 0..len {
            let fs = fs.fork();
            fs.flip_bit(&path, at);
            let store = open(&fs).unwrap();
            let problems = store.check().unwrap().problems;
            assert_eq!(problems.len(), 1, "{path:?} {at}: {problems:?}");
            let p = store.partition(&TOPIC, 0).unwrap();
            assert_eq!(read_everywhere(&p, &expected, 2 * BATCHES), 0);
            look_up_times(&p);
        }
    }
}

#[test]
fn missing_and_short_indexes_are_made_anew() {
    let (fs, expected) = filled(true);
    let all = [files(&fs, "index"), files(&fs, "timeindex")].concat();
    for cut in [None, Some(0), Some(3)] {
        let fs = fs.fork();
        for (path, _) in &all {
            match cut {
                None => fs.remove_file(path).unwrap(),
                Some(len) => {
                    let file = fs.open(path, crate::fs::OpenMode::Write).unwrap();
                    file.set_len(len).unwrap();
                }
            }
        }
        let store = open(&fs).unwrap();
        assert!(!store.check().unwrap().problems.is_empty());
        let p = store.partition(&TOPIC, 0).unwrap();
        assert_eq!(read_everywhere(&p, &expected, 2 * BATCHES), 0);
        look_up_times(&p);
        // As they were before.
        assert_eq!(store.check().unwrap().problems, []);
        store.close().unwrap();
        for (path, len) in &all {
            assert!(fs.files().contains(&(path.clone(), *len)), "{path:?}");
        }
        drop((p, store));
        let store = open(&fs).unwrap();
        assert_eq!(store.check().unwrap().problems, []);
    }
}

#[test]
fn a_flipped_bit_in_a_segment_is_told_where_it_is_and_nowhere_else() {
    let (fs, expected) = filled(true);
    for (path, len) in files(&fs, "log") {
        // Whole headers, and some of the records.
        let batch = expected[&0].len() as u64;
        for at in (0..len).filter(|at| at % batch < 70 || at % 61 == 0) {
            let fs = fs.fork();
            fs.flip_bit(&path, at);
            let store = open(&fs).unwrap();
            let p = store.partition(&TOPIC, 0).unwrap();
            let short = read_everywhere(&p, &expected, 2 * BATCHES);
            let is_epoch = (12..16).contains(&(at % batch));
            assert!(short <= 2 || at % batch < 27, "{short} at {at}");
            if !is_epoch {
                assert!(short > 0, "{path:?} {at}: nobody noticed");
                let problems = store.check().unwrap().problems;
                assert!(!problems.is_empty(), "{path:?} {at}");
            }
        }
    }
}

/// What a start makes of a damaged journal: it is refused, with the place and a way out, or the loss is at most that of the last `groups`,
/// which cannot be told from one that was being written. Returns whether it is refused.
fn is_refused(fs: &SimFs, expected: &Expected, groups: i64, what: &str) -> bool {
    match open(&fs.fork()) {
        Err(e @ OpenError::DamagedJournal { .. }) => {
            let told = e.to_string();
            assert!(told.contains("/data/journal"), "{what}: {told}");
            assert!(told.contains("ottla.journal.cut.damaged"), "{what}: {told}");
            let mut options = options(Durability::Disk);
            options.cut_damaged_journal = true;
            let dir = Path::new("/data");
            let store = Store::open_stepped(Arc::new(fs.clone()), dir, options, tuning()).unwrap();
            if let Some(p) = store.partition(&TOPIC, 0) {
                assert_eq!(read_everywhere(&p, expected, p.log_end_offset()), 0);
                assert_eq!(store.check().unwrap().problems, []);
            }
            store.close().unwrap();
            drop(store);
            // Given up once for all.
            open(fs).unwrap();
            true
        }
        Err(e) => panic!("{what}: {e}"),
        Ok(store) => {
            let p = store.partition(&TOPIC, 0);
            let p = p.unwrap_or_else(|| panic!("{what}: the topic is gone"));
            let end = p.log_end_offset();
            assert!(end >= 2 * (BATCHES - groups), "{what}: ends at {end}");
            assert_eq!(read_everywhere(&p, expected, end), 0);
            assert_eq!(store.check().unwrap().problems, []);
            false
        }
    }
}

#[test]
fn a_damaged_journal_is_refused_unless_nothing_is_lost_but_its_last_group() {
    let (fs, expected) = filled(false);
    let mut refused = 0;
    for (path, len) in files(&fs, "wal") {
        for at in (0..len).filter(|at| *at < 40 || at % 31 == 0) {
            let fs = fs.fork();
            fs.flip_bit(&path, at);
            refused += usize::from(is_refused(
                &fs,
                &expected,
                1,
                &format!("{path:?} flipped at {at}"),
            ));
        }
        for cut in (0..len).step_by(97) {
            let fs = fs.fork();
            let file = fs.open(&path, crate::fs::OpenMode::Write).unwrap();
            file.set_len(cut).unwrap();
            refused += usize::from(is_refused(
                &fs,
                &expected,
                1,
                &format!("{path:?} cut to {cut}"),
            ));
        }
        // A sector may have parts of two.
        for sector in (0..len).step_by(512) {
            let fs = fs.fork();
            let file = fs.open(&path, crate::fs::OpenMode::Write).unwrap();
            file.write_at(sector, &[&[0; 512]]).unwrap();
            refused += usize::from(is_refused(
                &fs,
                &expected,
                2,
                &format!("{path:?} without {sector}"),
            ));
        }
        let fs = fs.fork();
        fs.remove_file(&path).unwrap();
        refused += usize::from(is_refused(&fs, &expected, 1, &format!("{path:?} is gone")));
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_journal_that_a_stop_has_emptied_may_be_damaged() {
    let (fs, expected) = filled(true);
    for (path, len) in files(&fs, "wal") {
        for at in (4096..len).step_by(31) {
            let fs = fs.fork();
            fs.flip_bit(&path, at);
            assert!(!is_refused(&fs, &expected, 1, &format!("{path:?} {at}")));
        }
    }
}

#[test]
fn a_catalogue_that_lost_its_last_checkpoint_is_refused() {
    for close in [true, false] {
        let (fs, _) = filled(close);
        let store = open(&fs).unwrap();
        store.checkpoint().unwrap();
        drop(store);
        fs.kill();
        let position = crate::checkpoint::position_row(1);
        fs.meta_write(Path::new("/data/meta"), &[position]).unwrap();
        let error = open(&fs).err().unwrap().to_string();
        assert!(error.contains("/data/meta"), "{error}");
        assert!(error.contains("ottla snapshot restore"), "{error}");
    }
}

#[test]
fn an_index_that_a_power_cut_took_and_a_checkpoint_made_again_stays() {
    let (fs, _) = filled(false);
    let whole = fs.fork();
    drop(open(&whole).unwrap());
    // A power cut came when the segments had just been begun: of each one's files it left the name of the log alone.
    fs.create_dir_all(Path::new(DIR)).unwrap();
    for (log, _) in files(&whole, "log") {
        fs.open(&log, crate::fs::OpenMode::Truncate).unwrap();
    }
    for dir in ["/data/topics", DIR] {
        fs.sync_dir(Path::new(dir)).unwrap();
    }
    for seed in 0..20 {
        let fs = fs.fork();
        fs.reseed(seed);
        drop(open(&fs).unwrap());
        fs.crash();
        let store = open(&fs).unwrap();
        assert_eq!(store.check().unwrap().problems, [], "seed {seed}");
    }
}

#[test]
fn a_flipped_bit_in_the_properties_is_refused_or_harmless() {
    let (fs, expected) = filled(true);
    let path = Path::new("/data/meta.properties");
    let id = open(&fs.fork()).unwrap().cluster_id().to_owned();
    for (_, len) in fs.files().iter().filter(|(p, _)| p == path) {
        for at in 0..*len {
            let fs = fs.fork();
            fs.flip_bit(path, at);
            match open(&fs) {
                Ok(store) => {
                    assert_eq!(store.cluster_id(), id, "at {at}");
                    let p = store.partition(&TOPIC, 0).unwrap();
                    assert_eq!(read_everywhere(&p, &expected, 2 * BATCHES), 0);
                }
                Err(e) => assert!(e.to_string().contains("/data"), "{e}"),
            }
        }
    }
}

#[test]
fn data_whose_properties_are_gone_is_not_taken_for_a_new_directory() {
    for close in [true, false] {
        let (fs, _) = filled(close);
        let before = fs.files();
        fs.remove_file(Path::new("/data/meta.properties")).unwrap();
        let error = open(&fs).err().unwrap().to_string();
        assert!(error.contains("meta.properties is missing"), "{error}");
        assert!(error.contains("ottla.format=1"), "{error}");
        assert_eq!(fs.files().len(), before.len() - 1);
    }
}

#[test]
fn a_segment_that_is_gone_is_told_and_the_others_are_read() {
    let (fs, expected) = filled(true);
    fs.remove_file(&Path::new(DIR).join("00000000000000000000.log"))
        .unwrap();
    let store = open(&fs).unwrap();
    let p = store.partition(&TOPIC, 0).unwrap();
    let short = read_everywhere(&p, &expected, 2 * BATCHES);
    assert!(short > 0 && short < BATCHES as usize);
    assert_eq!(store.check().unwrap().problems.len(), 1);
}
