//! All records of a selection as lines of JSON, page by page as the client reads them.

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::answer::ApiError;
use crate::dead_letters::views::RecordPage;
use crate::dead_letters::{Problem, Queues, Selection};

/// Records that are read at a time.
const PAGE: usize = 500;

struct Export {
    queues: Queues,
    topic: String,
    selection: Selection,
    /// The next page, if it was read already.
    page: Option<RecordPage>,
    /// Where to go on.
    cursor: Option<String>,
    /// Records that may still come.
    left: usize,
}

/// Begins an export. What is wrong with the request is told before anything is sent; what goes wrong after that breaks the
/// answer off, which a client sees.
pub(super) async fn all(
    queues: Queues,
    topic: String,
    selection: Selection,
    limit: Option<usize>,
) -> Result<Response, ApiError> {
    let left = limit.unwrap_or(usize::MAX);
    let page = queues
        .records(&topic, selection.clone(), PAGE.min(left.max(1)), None)
        .await?;
    let export = Export {
        queues,
        topic,
        selection,
        page: Some(page),
        cursor: None,
        left,
    };
    let lines = stream::try_unfold(export, |export| async move { export.next().await });
    let kind = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

impl Export {
    /// The lines of the next page that has any.
    async fn next(mut self) -> Result<Option<(Bytes, Export)>, Problem> {
        loop {
            let page = match (self.page.take(), self.cursor.take()) {
                (Some(page), _) => page,
                (None, None) => return Ok(None),
                (None, cursor) => {
                    let limit = PAGE.min(self.left.max(1));
                    let selection = self.selection.clone();
                    self.queues
                        .records(&self.topic, selection, limit, cursor)
                        .await?
                }
            };
            self.cursor = page.next;
            let mut lines = Vec::new();
            for record in page.records.iter().take(self.left) {
                serde_json::to_writer(&mut lines, record).map_err(Problem::defect)?;
                lines.push(b'\n');
            }
            self.left = self.left.saturating_sub(page.records.len());
            if self.left == 0 {
                self.cursor = None;
            }
            if !lines.is_empty() {
                return Ok(Some((Bytes::from(lines), self)));
            }
        }
    }
}
