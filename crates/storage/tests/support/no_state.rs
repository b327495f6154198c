//! A partition's state that takes every batch and remembers none.

use ottla_codec::ResponseError;
use ottla_codec::batch::BatchHeader;
use ottla_codec::control::Outcome;
use ottla_storage::{AppendContext, Check, PartitionState, PartitionStateFactory};

pub struct NoState;
impl PartitionState for NoState {
    fn check(&mut self, _: &BatchHeader, _: AppendContext) -> Result<Check, ResponseError> {
        Ok(Check::New)
    }
    fn appended(&mut self, _: &BatchHeader, _: Option<Outcome>, _: i64) {}
    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }
    fn truncate(&mut self, _: i64) {}
}
impl PartitionStateFactory for NoState {
    fn load(&self, _: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        Ok(Box::new(NoState))
    }
}
