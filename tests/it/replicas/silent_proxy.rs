//! A proxy between a replica and a server whose connections can go silent: both ends stay open and no byte
//! passes, as behind a router that lost its state. New connections work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct SilenceableProxy {
    pub(crate) port: u16,
    silenced: watch::Sender<usize>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl SilenceableProxy {
    pub(crate) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (silenced, connections) = (watch::Sender::new(0), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        let (silence, count) = (silenced.clone(), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut carried = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                carried.spawn(carry(near_in, far_out, number, silence.subscribe()));
                carried.spawn(carry(far_in, near_out, number, silence.subscribe()));
            }
        });
        Self { port: own, silenced, connections, _tasks: tasks }
    }

    /// Silences all current connections.
    pub(crate) fn silence(&self) {
        self.silenced.send_replace(self.connections());
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: usize,
    silenced: watch::Receiver<usize>,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if number < *silenced.borrow() {
            // Both halves stay open.
            std::future::pending::<()>().await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
