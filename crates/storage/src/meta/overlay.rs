//! Changes of the small trees that the key-value store does not have yet, by key, with the commit that made each.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{MetaWrite, TreeId};

type Key = (TreeId, Bytes);
/// `None`: removed.
type Version = (u64, Option<Bytes>);

/// The latest value of each changed key, and older ones as long as the newer may still be taken back.
#[derive(Default)]
pub(crate) struct Overlay {
    changes: BTreeMap<Key, Vec<Version>>,
}

impl Overlay {
    /// Notes a change. Versions that a version kept by `durable` replaces are dropped.
    pub fn put(&mut self, tree: TreeId, key: Bytes, seq: u64, value: Option<Bytes>, durable: u64) {
        let versions = self.changes.entry((tree, key)).or_default();
        let kept = versions.iter().rposition(|(s, _)| *s <= durable);
        if let Some(kept) = kept {
            versions.drain(..kept);
        }
        versions.push((seq, value));
    }

    /// The latest value: `None` if the key did not change, `Some(None)` if it was removed.
    pub fn get(&self, tree: TreeId, key: &[u8]) -> Option<Option<Bytes>> {
        let versions = self.changes.get(&(tree, Bytes::copy_from_slice(key)))?;
        versions.last().map(|(_, v)| v.clone())
    }

    /// The changed keys that start with `prefix`, in order, with their latest value.
    pub fn scan(&self, tree: TreeId, prefix: &[u8]) -> Vec<(Bytes, Option<Bytes>)> {
        self.changes
            .range((tree, Bytes::copy_from_slice(prefix))..)
            .take_while(|((t, k), _)| *t == tree && k.starts_with(prefix))
            .filter_map(|((_, k), v)| Some((k.clone(), v.last()?.1.clone())))
            .collect()
    }

    /// Takes back every version of commit `from` and later. Returns the keys that had one.
    pub fn rollback(&mut self, from: u64) -> Vec<Key> {
        let mut touched = Vec::new();
        self.changes.retain(|key, versions| {
            let before = versions.len();
            versions.retain(|(seq, _)| *seq < from);
            if versions.len() != before {
                touched.push(key.clone());
            }
            !versions.is_empty()
        });
        touched
    }

    /// Each changed key with the value that commit `upto` left it with.
    pub fn gathered(&self, upto: u64) -> Vec<MetaWrite> {
        self.changes
            .iter()
            .filter_map(|((tree, key), versions)| {
                let (_, value) = versions.iter().rev().find(|(seq, _)| *seq <= upto)?;
                Some(MetaWrite {
                    tree: *tree,
                    key: key.to_vec(),
                    value: value.as_ref().map(|v| v.to_vec()),
                })
            })
            .collect()
    }

    /// Forgets what [`Overlay::gathered`] gave: the key-value store has it now.
    pub fn forget(&mut self, upto: u64) {
        self.changes.retain(|_, versions| {
            versions.retain(|(seq, _)| *seq > upto);
            !versions.is_empty()
        });
    }

    /// Whether nothing waits for a checkpoint.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn b(s: &'static str) -> Bytes {
        Bytes::from_static(s.as_bytes())
    }

    #[test]
    fn a_rolled_back_change_uncovers_the_value_before_it() {
        let mut o = Overlay::default();
        o.put(1, b("k"), 5, Some(b("a")), 0);
        o.put(1, b("k"), 7, None, 0);
        assert_eq!(o.get(1, b"k"), Some(None));
        o.rollback(6);
        assert_eq!(o.get(1, b"k"), Some(Some(b("a"))));
        o.rollback(1);
        assert_eq!(o.get(1, b"k"), None);
    }

    #[test]
    fn a_checkpoint_takes_the_value_of_its_position_and_keeps_newer_ones() {
        let mut o = Overlay::default();
        o.put(1, b("k"), 1, Some(b("a")), 0);
        o.put(1, b("k"), 2, Some(b("b")), 0);
        o.put(1, b("k"), 3, Some(b("c")), 0);
        assert_eq!(o.gathered(2)[0].value.as_deref(), Some(&b"b"[..]));
        o.forget(2);
        assert_eq!(o.get(1, b"k"), Some(Some(b("c"))));
        assert!(o.gathered(2).is_empty());
    }

    #[test]
    fn versions_do_not_pile_up_behind_a_durable_one() {
        let mut o = Overlay::default();
        for seq in 1..100 {
            o.put(1, b("k"), seq, Some(b("a")), seq - 1);
        }
        assert_eq!(o.changes.values().next().map(Vec::len), Some(2));
    }

    #[test]
    fn a_scan_sees_only_its_tree_and_prefix() {
        let mut o = Overlay::default();
        o.put(1, b("ab"), 1, Some(b("1")), 0);
        o.put(1, b("b"), 2, Some(b("2")), 0);
        o.put(2, b("aa"), 3, Some(b("3")), 0);
        assert_eq!(o.scan(1, b"a"), vec![(b("ab"), Some(b("1")))]);
    }
}
