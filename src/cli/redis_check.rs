//! What asking Redis once tells, in plain words.

use std::time::Duration;

use super::upstream_check::CheckResult;
use crate::replicas::redis::probe::ProbeFailure;

/// Judges what the server gave, by the time that a command may take.
pub(super) fn redis_check(probed: &Result<Duration, ProbeFailure>, timeout: Duration) -> CheckResult {
    match probed {
        Ok(latency) if *latency > timeout => CheckResult::Wrong(format!(
            "it answers in {} ms, and would be taken for away: redis.timeout_ms is {}",
            latency.as_millis(),
            timeout.as_millis()
        )),
        Ok(latency) => {
            let micros = latency.as_micros();
            CheckResult::Fine(format!("it answers in {}.{} ms", micros / 1_000, micros % 1_000 / 100))
        }
        Err(failure) => CheckResult::Wrong(words(*failure)),
    }
}

fn words(failure: ProbeFailure) -> String {
    match failure {
        ProbeFailure::Settings(error) => error.to_string(),
        ProbeFailure::Unreachable => {
            "it cannot be reached: is redis.url right, and the network up?".to_owned()
        }
        ProbeFailure::Timeout => "it does not answer, or takes seconds to".to_owned(),
        ProbeFailure::Tls => {
            "TLS cannot be agreed on: does it speak TLS, is its certificate for that name, and signed by \
                              those of redis.ca_file (or the machine's)?"
                .to_owned()
        }
        ProbeFailure::Closed => {
            "it hangs up, or answers something else than Redis does: does it want TLS (rediss://)?".to_owned()
        }
        ProbeFailure::WrongCredentials => {
            "user or password were refused: set redis.username, redis.password".to_owned()
        }
        ProbeFailure::PasswordRequired => "it wants a password: set redis.password".to_owned(),
        ProbeFailure::Database => "the database that ends redis.url cannot be used".to_owned(),
        ProbeFailure::Refused(command) => {
            format!("it refuses {command}: it is full, read-only, still starting, or the user may not do it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(probed: Result<Duration, ProbeFailure>) -> String {
        redis_check(&probed, Duration::from_millis(50)).line("Redis")
    }

    #[test]
    fn a_server_that_answers_in_time_is_fine_and_a_slower_one_is_not() {
        assert_eq!(line(Ok(Duration::from_micros(1_270))), "Redis     ok     it answers in 1.2 ms");
        assert_eq!(line(Ok(Duration::from_millis(50))), "Redis     ok     it answers in 50.0 ms");
        assert_eq!(
            line(Ok(Duration::from_millis(51))),
            "Redis     WRONG  it answers in 51 ms, and would be taken for away: redis.timeout_ms is 50"
        );
    }

    #[test]
    fn every_failure_says_what_to_do() {
        for (failure, words) in [
            (ProbeFailure::Unreachable, "is redis.url right"),
            (ProbeFailure::Timeout, "takes seconds"),
            (ProbeFailure::Tls, "redis.ca_file"),
            (ProbeFailure::Closed, "rediss://"),
            (ProbeFailure::WrongCredentials, "set redis.username, redis.password"),
            (ProbeFailure::PasswordRequired, "set redis.password"),
            (ProbeFailure::Database, "the database that ends redis.url"),
            (ProbeFailure::Refused("EVAL"), "it refuses EVAL"),
        ] {
            let line = line(Err(failure));
            assert!(line.starts_with("Redis     WRONG  ") && line.contains(words), "{line}");
        }
    }
}
