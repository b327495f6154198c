//! Producer ids, handed out from blocks. Only a block's end is stored, before any id of it is used, so that an id is never
//! given twice and most requests need no commit.

use crate::{StoreOp, Tree};

/// The key of the next unreserved id in the tree of producers.
pub const PRODUCER_ID_KEY: &[u8] = b"next-producer-id";
/// Ids reserved at once, as Kafka does.
const BLOCK: i64 = 1000;

/// A block that must be durable before [`ProducerIds::next`] goes on.
#[derive(Debug, PartialEq, Eq)]
pub struct ReserveBlock {
    /// To be committed.
    pub op: StoreOp,
}

/// The allocator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerIds {
    next: i64,
    end: i64,
}

impl ProducerIds {
    /// From the stored end of the last block; `None` if none was ever reserved, an error if it cannot be read.
    pub fn load(stored: Option<&[u8]>) -> Result<ProducerIds, String> {
        let next = match stored {
            None => 0,
            Some([1, rest @ ..]) => <[u8; 8]>::try_from(rest)
                .map(i64::from_be_bytes)
                .map_err(|_| "the stored producer id is damaged".to_owned())?,
            Some(_) => return Err("the stored producer id has an unknown version".to_owned()),
        };
        Ok(ProducerIds { next, end: next })
    }

    /// The next id. When the block is used up, a new one comes along, which must be durable before the id is told;
    /// if that fails the id is lost, which does no harm.
    pub fn allocate(&mut self) -> (i64, Option<ReserveBlock>) {
        let reserve = (self.next == self.end).then(|| {
            self.end += BLOCK;
            let mut value = vec![1];
            value.extend_from_slice(&self.end.to_be_bytes());
            ReserveBlock {
                op: StoreOp::Put {
                    tree: Tree::Producers,
                    key: PRODUCER_ID_KEY.to_vec(),
                    value,
                },
            }
        });
        let id = self.next;
        self.next += 1;
        (id, reserve)
    }

    /// The commit of the last block failed: reserve again before the next id.
    pub fn reservation_failed(&mut self) {
        self.end = self.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_over_a_restart_and_blocks_are_reserved_ahead() {
        let mut ids = ProducerIds::load(None).expect("nothing stored");
        let (first, reserve) = ids.allocate();
        assert_eq!(first, 0);
        let Some(ReserveBlock {
            op: StoreOp::Put { value, .. },
        }) = reserve
        else {
            panic!("the first id reserves a block");
        };
        for expected in 1..BLOCK {
            assert_eq!(ids.allocate(), (expected, None));
        }
        assert!(ids.allocate().1.is_some());

        let mut restarted = ProducerIds::load(Some(&value)).expect("readable");
        assert_eq!(restarted.allocate().0, BLOCK);
    }

    #[test]
    fn a_failed_reservation_is_made_again() {
        let mut ids = ProducerIds::load(None).expect("nothing stored");
        assert!(ids.allocate().1.is_some());
        ids.reservation_failed();
        let (id, reserve) = ids.allocate();
        assert_eq!(id, 1);
        assert!(reserve.is_some());
    }

    #[test]
    fn damaged_state_is_an_error() {
        assert!(ProducerIds::load(Some(&[1, 2])).is_err());
        assert!(ProducerIds::load(Some(&[9, 0, 0, 0, 0, 0, 0, 0, 0])).is_err());
        assert!(ProducerIds::load(Some(&[])).is_err());
    }
}
