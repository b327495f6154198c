//! The windows of idempotent producers, as the store asks for them.

use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_codec::batch::BatchHeader;
use ottla_storage::{Check, PartitionState, PartitionStateFactory};

use crate::settings::Settings;

/// Makes each partition's producer windows.
pub(crate) fn factory(_settings: Arc<Settings>) -> Arc<dyn PartitionStateFactory> {
    Arc::new(NoWindows)
}

struct NoWindows;

impl PartitionStateFactory for NoWindows {
    fn load(&self, _snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        Ok(Box::new(NoWindows))
    }
}

impl PartitionState for NoWindows {
    fn check(&mut self, _batch: &BatchHeader, _now_ms: i64) -> Result<Check, ResponseError> {
        Ok(Check::New)
    }
    fn appended(&mut self, _batch: &BatchHeader, _now_ms: i64) {}
    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }
    fn truncate(&mut self, _offset: i64) {}
}
