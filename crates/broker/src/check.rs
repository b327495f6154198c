//! Verifying a data directory that no broker uses.

use std::path::Path;

use ottla_storage::{CheckReport, OpenError, StoreError};

use crate::server::{StartError, open_store};
use crate::settings::{BrokerConfig, Settings};

/// Present in every data directory.
const PROPERTIES: &str = "meta.properties";

/// Opens a data directory as a start would (lock, recovery from the journal), verifies all that it holds, closes it.
/// What is committed afterwards is what was committed before; nothing is created where there is no data directory.
///
/// The way in is the broker's own, since what recovery keeps (the windows of idempotent producers) is the broker's too.
pub async fn check_data_dir(dir: &Path) -> Result<CheckReport, StartError> {
    if !dir.join(PROPERTIES).is_file() {
        let reason = match dir.exists() {
            true => format!("it has no {PROPERTIES}"),
            false => "there is nothing at that path".to_owned(),
        };
        let path = dir.to_owned();
        return Err(OpenError::NotOurs { path, reason }.into());
    }
    let config = BrokerConfig {
        data_dir: dir.to_owned(),
        values: Default::default(),
    };
    let settings = std::sync::Arc::new(Settings::new(&config)?);
    let store = open_store(&config, &settings).await?;
    let checking = tokio::task::spawn_blocking(move || -> Result<CheckReport, StoreError> {
        let report = store.check()?;
        store.close()?;
        Ok(report)
    });
    let report = checking
        .await
        .map_err(|e| StartError::Internal(e.to_string()))?;
    report.map_err(StartError::Check)
}
