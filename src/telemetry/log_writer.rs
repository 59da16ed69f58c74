//! The writer of the log: lines are added to a queue in memory, and one thread writes them to standard error.
//!
//! A write to a full pipe blocks until the pipe is read, so a request only copies its lines into the queue. Lines
//! beyond [`QUEUE_BYTES`] are dropped and counted. Lines of the [`audit`] log have their own limit, [`AUDIT_BYTES`], so
//! that other lines cannot displace them. [`flush`] waits at exit until the queue is written.
//!
//! Rejected: `tracing-appender`. It allocates each line, wakes its thread for each line, and drops audit lines like
//! others.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::audit;
use super::metrics::declared::LOG_LINES_DROPPED;
use super::metrics::readings::Readings;

/// Maximum bytes of unwritten lines other than audit lines; about 3,000 lines.
const QUEUE_BYTES: usize = 1 << 20;

/// Maximum bytes of unwritten audit lines, and of unwritten lines of [`write_line`].
const AUDIT_BYTES: usize = 4 << 20;

/// Pause between two writes, so that one write takes many lines under load. A process that is killed loses the lines of
/// at most one interval.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);

/// Capacity that the queue keeps after a burst; more is freed.
const RETAINED_BYTES: usize = 1 << 16;

/// The writer of this process's log.
static STARTED: OnceLock<LogWriter> = OnceLock::new();

/// A handle to a log's queue and its writing thread; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writing thread: there are lines, or a flush is waiting.
    work: Condvar,
    /// Wakes flushes: a write is complete.
    written: Condvar,
    dropped_full: AtomicU64,
    dropped_failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Number of the bytes that count towards [`AUDIT_BYTES`].
    audit_bytes: usize,
    lines: u64,
    /// Whether the thread waits for a signal. If not, it will find new lines without one, which saves a system call.
    is_idle: bool,
    is_writing: bool,
    is_flushing: bool,
}

/// Returns the writer to standard error, started at the first call.
///
/// # Errors
/// If no thread can be started.
pub(super) fn standard_error() -> io::Result<LogWriter> {
    if let Some(writer) = STARTED.get() {
        return Ok(writer.clone());
    }
    let writer = LogWriter::start(standard_error_file()?)?;
    Ok(STARTED.get_or_init(|| writer).clone())
}

/// Returns standard error without the lock of [`io::stderr`], which a blocked write would hold.
#[cfg(unix)]
fn standard_error_file() -> io::Result<std::fs::File> {
    use std::os::fd::AsFd as _;
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
fn standard_error_file() -> io::Result<io::Stderr> {
    Ok(io::stderr())
}

/// Waits until all lines are written, but no longer than `timeout`. Returns whether all are written.
pub fn flush(timeout: Duration) -> bool {
    STARTED.get().is_none_or(|writer| writer.flush(timeout))
}

/// Writes a line to standard error. Once the log is started, the line is queued behind those of the log and does not
/// block. It counts towards the limit of audit lines, so that other lines cannot displace it.
pub fn write_line(line: &str) {
    let line = format!("{line}\n");
    match STARTED.get() {
        Some(writer) => writer.0.push(line.as_bytes(), true),
        // There is no other place to report an error of standard error.
        None => drop(io::stderr().lock().write_all(line.as_bytes())),
    }
}

/// Adds the number of dropped lines to the values of a scrape.
pub(super) fn read(readings: &mut Readings) {
    readings.declare(&LOG_LINES_DROPPED);
    let Some(LogWriter(shared)) = STARTED.get() else { return };
    for (reason, count) in [("full", &shared.dropped_full), ("failed", &shared.dropped_failed)] {
        readings.count(&LOG_LINES_DROPPED, &[reason], count.load(Ordering::Relaxed));
    }
}

impl LogWriter {
    /// Starts the thread that writes to `sink`, for the rest of the process's life.
    fn start(mut sink: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self::default();
        let shared = Arc::clone(&writer.0);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            let (mut batch, mut reported) = (Vec::new(), 0);
            loop {
                let lines = shared.take(&mut batch);
                if write_all(&mut sink, &batch).is_err() {
                    shared.dropped_failed.fetch_add(lines, Ordering::Relaxed);
                }
                batch.clear();
                batch.shrink_to(RETAINED_BYTES);
                shared.finish_write();
                let dropped = shared.dropped_full.load(Ordering::Relaxed);
                if dropped > reported {
                    let lines = dropped - reported;
                    tracing::warn!(lines, "log lines were dropped: standard error is not read fast enough");
                    reported = dropped;
                }
            }
        })?;
        Ok(writer)
    }

    fn flush(&self, timeout: Duration) -> bool {
        let mut queue = self.0.lock();
        queue.is_flushing = true;
        self.0.work.notify_one();
        let waited = self.0.written.wait_timeout_while(queue, timeout, |queue| !queue.is_written());
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.is_flushing = false;
        queue.is_written()
    }
}

/// Writes all bytes. If another process has made standard error non-blocking, a write that would block is tried again.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(WRITE_INTERVAL),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Queue {
    fn is_written(&self) -> bool {
        self.bytes.is_empty() && !self.is_writing
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent between any two statements, so a poisoned lock is ignored.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or drops it if the queue is full.
    fn push(&self, line: &[u8], is_audit: bool) {
        let mut queue = self.lock();
        let (unwritten, limit) = match is_audit {
            true => (queue.audit_bytes, AUDIT_BYTES),
            false => (queue.bytes.len() - queue.audit_bytes, QUEUE_BYTES),
        };
        if unwritten + line.len() > limit {
            drop(queue);
            self.dropped_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.bytes.extend_from_slice(line);
        queue.lines += 1;
        if is_audit {
            queue.audit_bytes += line.len();
        }
        let was_idle = std::mem::take(&mut queue.is_idle);
        drop(queue);
        if was_idle {
            self.work.notify_one();
        }
    }

    /// Waits for lines and moves them to `batch`, which is empty. Returns their number.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let mut queue = self.lock();
        while queue.bytes.is_empty() {
            queue.is_idle = true;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        (queue.is_idle, queue.is_writing) = (false, true);
        queue.audit_bytes = 0;
        std::mem::swap(&mut queue.bytes, batch);
        std::mem::take(&mut queue.lines)
    }

    /// Marks a write as complete, and pauses unless a flush is waiting.
    fn finish_write(&self) {
        let mut queue = self.lock();
        queue.is_writing = false;
        self.written.notify_all();
        drop(self.work.wait_timeout_while(queue, WRITE_INTERVAL, |queue| !queue.is_flushing));
    }
}

/// A writer of lines: `tracing_subscriber` passes each line whole, in one call.
#[derive(Debug)]
pub(super) struct LineWriter<'a> {
    shared: &'a Shared,
    is_audit: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line, self.is_audit);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { shared: &self.0, is_audit: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        LineWriter { shared: &self.0, is_audit: metadata.target() == audit::TARGET }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A sink whose writes complete only when the test receives them.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn piped() -> (LogWriter, Receiver<Vec<u8>>) {
        let (send, receive) = sync_channel(0);
        (LogWriter::start(Pipe(send)).unwrap(), receive)
    }

    fn dropped(writer: &LogWriter) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&writer.0.dropped_full), count(&writer.0.dropped_failed))
    }

    #[test]
    fn lines_are_written_in_order_and_flushed() {
        let (writer, received) = piped();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            while !text.ends_with(b"last\n") {
                text.extend(received.recv().unwrap());
            }
            text
        });
        let lines: String =
            (0..1_000).map(|number| format!("line {number}\n")).collect::<String>() + "last\n";
        for line in lines.split_inclusive('\n') {
            writer.0.push(line.as_bytes(), false);
        }
        assert!(writer.flush(LONG));
        assert_eq!(String::from_utf8(reader.join().unwrap()).unwrap(), lines);
        assert_eq!(dropped(&writer), (0, 0));
    }

    #[test]
    fn a_stalled_reader_blocks_no_caller_and_loses_no_audit_line() {
        let (writer, received) = piped();
        writer.0.push(b"first\n", false);
        // The thread takes the first line, and its write blocks.
        while !writer.0.lock().is_writing {
            thread::yield_now();
        }
        let line = [[b'x'; 1_023].as_slice(), b"\n"].concat();
        for _ in 0..2_000 {
            writer.0.push(&line, false);
        }
        assert_eq!(dropped(&writer), (976, 0), "the queue has room for 1,024 of these lines");
        writer.0.push(b"an account was disabled\n", true);
        assert_eq!(dropped(&writer), (976, 0));
        assert!(!writer.flush(Duration::ZERO), "the reader is stalled");
        let mut text = Vec::new();
        while !text.ends_with(b"an account was disabled\n") {
            text.extend(received.recv().unwrap());
        }
        assert!(writer.flush(LONG));
        writer.0.push(b"read again\n", false);
        assert_eq!(received.recv().unwrap(), b"read again\n");
    }

    #[test]
    fn lines_of_a_failed_write_are_counted() {
        let (writer, received) = piped();
        drop(received);
        writer.0.push(b"one\n", false);
        writer.0.push(b"two\n", false);
        assert!(writer.flush(LONG));
        assert_eq!(dropped(&writer), (0, 2));
    }

    #[test]
    fn a_sink_that_would_block_is_tried_again() {
        struct Busy(Vec<u8>, u8);
        impl Write for Busy {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                if self.1 < 3 {
                    return Err(
                        [ErrorKind::WouldBlock, ErrorKind::Interrupted][usize::from(self.1 - 1)].into()
                    );
                }
                self.0.write(&bytes[..1])
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut busy = Busy(Vec::new(), 0);
        write_all(&mut busy, b"whole\n").unwrap();
        assert_eq!(busy.0, b"whole\n");
    }
}
