//! Version, start time and memory of the process.

use jiff::Timestamp;

use super::declared::{BUILD_INFO, RESIDENT_MEMORY, START_TIME};
use super::readings::Readings;

pub(super) fn read(started_at: Timestamp, readings: &mut Readings) {
    readings.level(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    readings.gauge(&START_TIME, &[], started_at.as_duration().as_secs_f64());
    // Not a file on a disk: the kernel generates it on read.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = resident_bytes(&status) {
        readings.level(&RESIDENT_MEMORY, &[], bytes);
    }
}

/// Parses `VmRSS`, which is in kibibytes (proc_pid_status(5)).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::resident_bytes;

    #[test]
    fn resident_memory_is_in_bytes_or_missing() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   12345 kB\nRssAnon: 1 kB\n"), Some(12_641_280));
        for odd in ["", "VmRSS:\t12 MB", "VmRSS: x kB"] {
            assert_eq!(resident_bytes(odd), None, "{odd}");
        }
    }
}
