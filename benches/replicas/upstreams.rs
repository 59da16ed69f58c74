//! The upstreams: the sandbox on a separate thread, with or without latency.

use switchboard::sandbox::{Clock, ComposioPlan, LeadlexPlan, Sandbox, Settings};

pub(crate) const LEADLEX_KEY: &str = "wbk_sandbox_a";
pub(crate) const COMPOSIO_KEY: &str = "ak_sandbox_a";

/// A sandbox without rate limits.
pub(crate) fn sandbox(latency_ms: u64) -> Sandbox {
    let settings = Settings {
        accounts: 10_000,
        leadlex_plan: LeadlexPlan::Unmetered,
        composio_plan: ComposioPlan::Enterprise,
        latency_ms,
        ..Settings::default()
    };
    Sandbox::new(settings, Clock::system())
}

/// Serves the sandbox over loopback until this process ends. Returns its base URL.
pub(crate) fn serve(sandbox: &Sandbox) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    let router = sandbox.router();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("its address");
            sender.send(format!("http://{address}")).expect("the other thread waits");
            axum::serve(listener, router).await.expect("a server that never ends");
        });
    });
    receiver.recv().expect("the sandbox starts")
}
