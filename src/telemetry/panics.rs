//! The log line of a panic: its location, and its message only if that is a literal of the source.
//!
//! A formatted message can contain secret values: `unwrap` prints the error, an invalid slice index prints the text.
//! The default hook prints every message to standard error, past the filters of the log.

use std::panic::PanicHookInfo;

/// Logs panics by [`log`] for the rest of the process's life.
pub(super) fn install_hook() {
    std::panic::set_hook(Box::new(log));
}

/// Logs a panic.
pub fn log(panic: &PanicHookInfo<'_>) {
    let (file, line) = panic.location().map_or(("", 0), |place| (place.file(), place.line()));
    let message = panic.payload().downcast_ref::<&'static str>().copied();
    tracing::error!(file, line, message = message.unwrap_or("(not shown: it can hold values)"), "a panic");
}

/// Lock for tests that replace the panic hook, which belongs to the whole process.
#[cfg(test)]
pub(crate) static HOOK: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, set_hook, take_hook};
    use std::sync::{Arc, PoisonError};
    use std::thread;

    use crate::telemetry::tests::logged;

    #[test]
    fn a_panic_is_logged_with_its_location_and_no_value() {
        let _alone = super::HOOK.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, here) = (Arc::new(take_hook()), thread::current().id());
        let others = Arc::clone(&before);
        set_hook(Box::new(move |panic| match thread::current().id() == here {
            true => super::log(panic),
            false => others(panic),
        }));
        let log = logged(|| {
            let text = String::from("canary");
            drop(catch_unwind(|| panic!("a text of the source")));
            drop(catch_unwind(|| panic!("{text} in a message")));
            let failed: Result<(), String> = if text.is_empty() { Ok(()) } else { Err(text.clone()) };
            drop(catch_unwind(|| failed.unwrap()));
        });
        set_hook(Box::new(move |panic| before(panic)));
        assert!(log.contains("a text of the source") && log.contains("panics.rs"), "{log}");
        assert_eq!(log.matches("a panic").count(), 3, "{log}");
        assert_eq!(log.matches("not shown").count(), 2, "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
}
