//! SIGINT and SIGTERM, which end a tool that would go on.

/// Waits for a signal; answers with the exit code that a shell shows for it.
#[cfg(unix)]
pub(crate) async fn stopped() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, terminate) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn stopped() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => 130,
        Err(_) => std::future::pending().await,
    }
}
