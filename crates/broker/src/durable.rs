//! Waiting for what an administrative request changed.

use std::future::Future;
use std::time::Duration;

use ottla_codec::ResponseError;
use ottla_storage::{Commit, Store};

use crate::errors::{self, Refusal};

/// Waits until all of `commits`, which change trees, are kept, at most `timeout_ms` (not above 0: as long as it takes). The last stands for
/// those before it.
pub(crate) fn all_kept(
    store: &Store,
    commits: Vec<Option<Commit>>,
    timeout_ms: i32,
) -> impl Future<Output = Result<(), Refusal>> + Send + 'static + use<> {
    let last = commits.into_iter().flatten().max();
    let kept = last.map(|commit| store.durable(commit));
    async move {
        let Some(kept) = kept else { return Ok(()) };
        let limit = u64::try_from(timeout_ms)
            .ok()
            .filter(|ms| *ms > 0)
            .map_or(Duration::MAX, Duration::from_millis);
        match tokio::time::timeout(limit, kept).await {
            Ok(result) => {
                result.map_err(|error| Refusal::new(errors::store(&error), error.to_string()))
            }
            Err(_) => Err(Refusal::new(
                ResponseError::RequestTimedOut,
                "the change is not durable yet",
            )),
        }
    }
}
