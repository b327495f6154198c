//! Settings of what clients name themselves, groups and subscriptions of client metrics: how they are kept in the store.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_storage::{MetaOp, Store, StoreError, Tree};

use super::dynamic::AlterError;
use super::layers::Values;

/// Settings by the name of what has them.
pub(crate) type Named = HashMap<Arc<str>, Arc<Values>>;

/// What keeps `own` as the settings of `name`; `kind` comes before the name in the key of its row.
pub(super) fn kept(kind: &[u8], name: &str, own: &Values) -> MetaOp {
    let key = Bytes::from([kind, name.as_bytes()].concat());
    let tree = Tree::Configs;
    if own.is_empty() {
        return MetaOp::Delete { tree, key };
    }
    let value = serde_json::to_vec(own).expect("a map of strings is JSON");
    let value = Bytes::from(value);
    MetaOp::Put { tree, key, value }
}

/// All that is kept of a kind. Values that `check` does not take (any more) are left out with a warning.
pub(super) fn load(
    store: &Store,
    kind: &[u8],
    check: impl Fn(&Values) -> Result<(), AlterError>,
) -> Result<Named, StoreError> {
    let mut named = Named::new();
    for (key, bytes) in store.scan(Tree::Configs, kind)? {
        let name = key.strip_prefix(kind).map(std::str::from_utf8);
        let Some(Ok(name)) = name else {
            continue;
        };
        let stored: Values = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(key = %String::from_utf8_lossy(&key), %error, "stored settings cannot be read and are left out");
            Values::new()
        });
        let usable: Values = stored
            .into_iter()
            .filter(|(setting, value)| {
                check(&Values::from([(setting.clone(), value.clone())]))
                    .inspect_err(|error| tracing::warn!(key = %String::from_utf8_lossy(&key), %setting, %error, "stored setting is left out"))
                    .is_ok()
            })
            .collect();
        if !usable.is_empty() {
            named.insert(name.into(), Arc::new(usable));
        }
    }
    Ok(named)
}

/// `named` with `own` as the settings of `name`.
pub(super) fn with(named: &Named, name: &str, own: Values) -> Named {
    let mut changed = named.clone();
    if own.is_empty() {
        changed.remove(name);
    } else {
        changed.insert(name.into(), Arc::new(own));
    }
    changed
}
