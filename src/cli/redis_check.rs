//! The line of `switchboard check` for Redis, from a single command.

use std::time::Duration;

use super::upstream_check::CheckResult;
use crate::replicas::redis::probe::ProbeFailure;

/// Evaluates the result of a command, and compares its latency with the timeout.
pub(super) fn redis_check(probed: &Result<Duration, ProbeFailure>, timeout: Duration) -> CheckResult {
    match probed {
        Ok(latency) if *latency > timeout => CheckResult::Failed(format!(
            "it responds in {} ms, which is over redis.timeout_ms, {}: raise that or use a nearer server",
            latency.as_millis(),
            timeout.as_millis()
        )),
        Ok(latency) => {
            let micros = latency.as_micros();
            CheckResult::Ok(format!("it responds in {}.{} ms", micros / 1_000, micros % 1_000 / 100))
        }
        Err(failure) => CheckResult::Failed(failure_text(*failure)),
    }
}

fn failure_text(failure: ProbeFailure) -> String {
    match failure {
        ProbeFailure::Settings(error) => error.to_string(),
        ProbeFailure::Unreachable => {
            "cannot connect: check redis.url and the network".to_owned()
        }
        ProbeFailure::Timeout => "no response for seconds: check the server's load and the network".to_owned(),
        ProbeFailure::Tls => {
            "the TLS handshake failed: check that the server uses TLS, that its certificate is for that host name, and \
             that redis.ca_file (or the system's certificates) signed it"
                .to_owned()
        }
        ProbeFailure::Closed => {
            "it closes the connection, or its response is not one of Redis: check redis.url; a server with TLS needs rediss://".to_owned()
        }
        ProbeFailure::WrongCredentials => {
            "user or password were refused: set redis.username and redis.password".to_owned()
        }
        ProbeFailure::PasswordRequired => "it requires a password: set redis.password".to_owned(),
        ProbeFailure::Database => "the database at the end of redis.url cannot be selected: choose another number".to_owned(),
        ProbeFailure::Refused(command) => {
            format!("it refuses {command}: it is full, read-only or still starting, or the user lacks the permission")
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
    fn a_latency_over_the_timeout_is_a_failure() {
        assert_eq!(line(Ok(Duration::from_micros(1_270))), "Redis     ok     it responds in 1.2 ms");
        assert_eq!(line(Ok(Duration::from_millis(50))), "Redis     ok     it responds in 50.0 ms");
        assert_eq!(
            line(Ok(Duration::from_millis(51))),
            "Redis     WRONG  it responds in 51 ms, which is over redis.timeout_ms, 50: raise that or use a nearer server"
        );
    }

    #[test]
    fn each_failure_is_reported_with_what_to_do() {
        for (failure, expected) in [
            (ProbeFailure::Unreachable, "check redis.url"),
            (ProbeFailure::Timeout, "for seconds"),
            (ProbeFailure::Tls, "redis.ca_file"),
            (ProbeFailure::Closed, "rediss://"),
            (ProbeFailure::WrongCredentials, "set redis.username and redis.password"),
            (ProbeFailure::PasswordRequired, "set redis.password"),
            (ProbeFailure::Database, "the database at the end of redis.url"),
            (ProbeFailure::Refused("EVAL"), "it refuses EVAL"),
        ] {
            let line = line(Err(failure));
            assert!(line.starts_with("Redis     WRONG  ") && line.contains(expected), "{line}");
        }
    }
}
