//! Readers beside a compaction that never rests, on real files: what survives is seen, in order, and nobody sees an error.
#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::BytesMut;
use ottla_codec::batch::{BatchHeader, check_all};
use ottla_codec::records::{BatchBuilder, Record};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tests::thin;
use crate::fs::sim::SimFs;
use crate::fs::{DirEntry, File, Fs, LockError, OpenMode, OsFs};
use crate::meta::MetaStore;
use crate::simulation::{headers_of, options, read_on, tuning};
use crate::snapshot::tests::{ORDERS, create};
use crate::{AppendContext, Durability, Partition, Replaced, Store};

const ROUNDS: i64 = 40;
/// Records that a round appends.
const RECORDS: i64 = 15;

/// What no compaction takes.
fn stays(offset: i64) -> bool {
    offset % 5 == 0
}

/// Reads all of a partition once.
fn read_all(p: &Partition, max_bytes: usize) {
    let end = p.high_watermark();
    let mut expected = (0..end).filter(|o| stays(*o)).peekable();
    let mut next = 0;
    while next < end {
        let (bytes, reached) = read_on(p, next, max_bytes).unwrap();
        for header in headers_of(&bytes) {
            assert!(header.base_offset >= next, "{} again", header.base_offset);
            next = header.next_offset();
            let is_next = expected.next_if(|e| *e <= header.base_offset);
            assert!(is_next.is_none_or(|e| e == header.base_offset));
        }
        assert!(reached >= next);
        next = reached;
    }
    assert_eq!(expected.next(), None);
}

/// A record at this time; the one at offset 0 has time 1, and so on.
fn append_at(p: &Partition, timestamp: i64) {
    let record = Record {
        offset: 0,
        timestamp,
        key: None,
        value: Some(vec![7; 40].into()),
        headers: Vec::new(),
    };
    let bytes = BytesMut::from(&BatchBuilder::default().build(&[record])[..]);
    let headers = check_all(&bytes).unwrap();
    p.append(bytes, &headers, AppendContext::at(1)).unwrap();
}

fn look_up(p: &Partition, rng: &mut StdRng) {
    let end = p.high_watermark();
    if end == 0 {
        return;
    }
    let offset = rng.random_range(0..end);
    let found = p.offset_for_timestamp(offset + 1).unwrap();
    let next_that_stays = (offset..end).find(|o| stays(*o));
    if let Some(bound) = next_that_stays {
        let found = found.unwrap().offset;
        assert!((offset..=bound).contains(&found), "{found} for {offset}");
    }
    let largest = p.max_timestamp().unwrap().unwrap();
    assert!(largest.offset >= (0..end).rfind(|o| stays(*o)).unwrap());
}

fn compact(p: &Partition, rng: &mut StdRng) -> u64 {
    let ready = p.closed_segments().ready;
    let (mut rest, mut replaced) = (&ready[..], 0);
    while !rest.is_empty() {
        let (run, behind) = rest.split_at(rng.random_range(1..=rest.len().min(4)));
        let dropped = rng.random_range(0.0..0.5);
        let keep = |h: &BatchHeader| stays(h.base_offset) || !rng.random_bool(dropped);
        assert_eq!(thin(p, run, keep).unwrap().unwrap(), Replaced::Done);
        replaced += 1;
        rest = behind;
    }
    replaced
}

#[test]
fn readers_see_what_survives_in_order_and_no_error_while_segments_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(
        Arc::new(OsFs),
        &dir.path().join("data"),
        // Few open files: most reads open theirs.
        options(Durability::Os),
    )
    .unwrap();
    create(&store, ORDERS, "orders", "600");
    let p = store.partition(&ORDERS, 0).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for max_bytes in [1, 700, 1 << 20] {
            let (p, over) = (&p, &over);
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(max_bytes as u64);
                let mut rounds = 0;
                while !over.load(Ordering::Acquire) || rounds == 0 {
                    read_all(p, max_bytes);
                    look_up(p, &mut rng);
                    rounds += 1;
                }
            });
        }
        let worker = scope.spawn(|| {
            let mut rng = StdRng::seed_from_u64(9);
            let mut replaced = 0;
            for round in 0..ROUNDS {
                for i in 0..RECORDS {
                    append_at(&p, round * RECORDS + i + 1);
                }
                p.roll(1);
                store.checkpoint().unwrap();
                replaced += compact(&p, &mut rng);
            }
            replaced
        });
        let outcome = worker.join();
        over.store(true, Ordering::Release);
        assert!(outcome.unwrap() > 2 * ROUNDS as u64);
    });
    store.checkpoint().unwrap();
    assert_eq!(store.check().unwrap().problems, []);
    p.sweep().unwrap();
}

/// Calls somebody once, before or behind opening a file of this kind.
struct Interposed {
    fs: SimFs,
    extension: &'static str,
    behind: bool,
    hook: Arc<Mutex<Option<Hook>>>,
}

type Hook = Box<dyn FnMut() + Send>;

impl Fs for Interposed {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let behind = self.behind.then(|| self.fs.open(path, mode));
        if path.extension().is_some_and(|e| e == self.extension) {
            // Not while it is at it.
            let hook = self.hook.lock().take();
            if let Some(mut hook) = hook {
                hook();
            }
        }
        behind.unwrap_or_else(|| self.fs.open(path, mode))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_dir(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs.read_dir(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.fs.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.hard_link(from, to)
    }
    fn sync_tree(&self, dir: &Path) -> io::Result<()> {
        self.fs.sync_tree(dir)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_dir_all(path)
    }
    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.fs.available_bytes(path)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        self.fs.lock(path)
    }
    fn write_meta_again(&self, dir: &Path) -> io::Result<()> {
        self.fs.write_meta_again(dir)
    }

    fn open_meta(&self, dir: &Path) -> io::Result<Box<dyn MetaStore>> {
        self.fs.open_meta(dir)
    }
}

const END: i64 = 40;

/// A store in which somebody else compacts, checkpoints and removes all while the first file of this kind is opened.
fn interposed(extension: &'static str, behind: bool) -> (Store, Arc<Partition>) {
    let hook = Arc::new(Mutex::default());
    let fs = Interposed {
        fs: SimFs::new(1),
        extension,
        behind,
        hook: hook.clone(),
    };
    let options = options(Durability::Disk);
    let store = Store::open_stepped(Arc::new(fs), Path::new("/data"), options, tuning()).unwrap();
    create(&store, ORDERS, "orders", "900");
    let p = store.partition(&ORDERS, 0).unwrap();
    for time in 1..=END {
        append_at(&p, time);
    }
    store.inner().step_writer();
    p.roll(1);
    append_at(&p, END + 1);
    store.checkpoint().unwrap();
    p.evict(usize::MAX);
    store.inner().core.files.forget_partition(p.uid());
    *hook.lock() = Some(Box::new({
        let (p, store) = (Arc::downgrade(&p), Arc::downgrade(store.inner()));
        move || {
            let (p, store) = (p.upgrade().unwrap(), store.upgrade().unwrap());
            let ready = p.closed_segments().ready;
            thin(&p, &ready, |h| stays(h.base_offset)).unwrap().unwrap();
            store.checkpoint().unwrap();
            store.remove_replaced();
        }
    }) as Hook);
    (store, p)
}

#[test]
fn a_reader_whose_file_was_replaced_before_it_opened_it_takes_its_place_anew() {
    type Look = fn(&Partition, i64);
    let look_up: Look = |p, offset| look_up(p, &mut StdRng::seed_from_u64(offset as u64));
    let looks: [(&str, Look); 4] = [
        ("log", |p, offset| {
            let found = headers_of(&read_on(p, offset, 1).unwrap().0)[0].base_offset;
            assert_eq!(Some(found), (offset..).find(|o| stays(*o)));
        }),
        ("index", |p, _| read_all(p, 1)),
        ("log", look_up),
        ("timeindex", look_up),
    ];
    for (extension, look) in looks {
        let mut replaced = 0;
        for offset in 0..END {
            let (_store, p) = interposed(extension, false);
            look(&p, offset);
            replaced += p.lock().replacements;
        }
        assert!(replaced > END as u64 / 2, "{replaced} at {extension}");
    }
}

#[test]
fn a_file_that_goes_while_it_is_opened_is_read_to_its_end_and_not_kept_open() {
    let (store, p) = interposed("log", true);
    let first = p.closed_segments().ready[0];
    // So short that few other files are opened.
    let (bytes, next) = read_on(&p, 1, 200).unwrap();
    assert_eq!(p.lock().replacements, 1);
    let found: Vec<i64> = headers_of(&bytes).iter().map(|h| h.base_offset).collect();
    assert_eq!(found, [1]);
    assert_eq!(next, 2);
    assert!(!store.inner().core.files.holds(p.uid(), first.id));
}
