//! A process whose wall clock jumps while its monotonic clock does not, as after a suspend or a correction of the
//! clock.
//!
//! The clock is replaced by a library of a few lines, which the C compiler that the build needs anyway translates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use axum::body::{Body, to_bytes};
use axum::http::{Request as HttpRequest, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use switchboard::{Caller, Switchboard};
use tower::ServiceExt as _;

use crate::config::ConfigFile;
use crate::edge::issuer::Key;
use crate::reload::Serving;

/// Adds the number of seconds in the file `CLOCK_OFFSET_FILE` to the wall clock.
const SHIFTED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, id, time);
    const char *path = getenv("CLOCK_OFFSET_FILE");
    if (failed || id != CLOCK_REALTIME || !path) return failed;
    char text[32] = {0};
    int file = open(path, O_RDONLY);
    if (file < 0) return failed;
    if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
    close(file);
    return failed;
}
"#;

/// The variable that [`SHIFTED_CLOCK`] reads.
const OFFSET_FILE: &str = "CLOCK_OFFSET_FILE";

/// A shifted wall clock; its files are removed at the end of the test.
struct ShiftedClock {
    folder: PathBuf,
}

impl ShiftedClock {
    fn new(name: &str, seconds: i64) -> Self {
        let folder = std::env::temp_dir().join(format!("switchboard-clock-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let source = folder.join("clock.c");
        fs::write(&source, SHIFTED_CLOCK).unwrap();
        let clock = Self { folder };
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(clock.library())
            .arg(&source)
            .status()
            .unwrap();
        assert!(compiled.success());
        clock.shift(seconds);
        clock
    }

    fn library(&self) -> PathBuf {
        self.folder.join("clock.so")
    }

    fn offset_file(&self) -> PathBuf {
        self.folder.join("offset")
    }

    fn shift(&self, seconds: i64) {
        shift(&self.offset_file(), seconds);
    }

    async fn serve(&self, key: &Key) -> (Serving, ConfigFile) {
        let jwks = ConfigFile::new(&json!({ "keys": [key.public()] }).to_string());
        let settings = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n[auth]\nmode = \"jwt\"\n[auth.jwt]\njwks_file = \"{}\"\nissuer = \"i\"\naudience = \"a\"\n\
             tenant_claim = \"\"\n",
            jwks.path()
        );
        let library = self.library();
        let serving = Serving::start_with(&settings, |command| {
            command.env("LD_PRELOAD", library).env(OFFSET_FILE, self.offset_file());
        });
        (serving.await, jwks)
    }
}

/// Shifts the clock of the processes that read this file.
fn shift(offset_file: &Path, seconds: i64) {
    // Replaced in one step: a reader must not see an empty file.
    let next = offset_file.with_extension("next");
    fs::write(&next, seconds.to_string()).unwrap();
    fs::rename(&next, offset_file).unwrap();
}

impl Drop for ShiftedClock {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "the process under test reads the real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// A token that expires some seconds from the real time.
fn token(key: &Key, expires_in: i64) -> String {
    let exp = now().as_second() + expires_in;
    key.sign(&json!({ "iss": "i", "aud": "a", "exp": exp, "role": "ADMIN" }))
}

const HOUR: i64 = 3_600;
const QUERY: &str = "{ connectedAccounts(first: 1) { freshness { state fetchedAt } } }";

fn fetched_at(answer: &Value) -> Timestamp {
    answer["data"]["connectedAccounts"]["freshness"]["fetchedAt"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn after_a_suspended_day_tokens_have_expired_and_data_is_old() {
    let (key, clock) = (Key::ed("k"), ShiftedClock::new("day", 0));
    let (serving, _jwks) = clock.serve(&key).await;
    let (short, long) = (token(&key, HOUR), token(&key, 30 * HOUR));
    let (status, before) = serving.ask(&short, QUERY).await;
    assert_eq!(status, StatusCode::OK, "{before}");
    let (mut ending, mut staying) = (serving.listen(&short).await, serving.listen(&long).await);

    clock.shift(25 * HOUR);
    let log = serving.logged("jumped forward");
    assert!(log.last().unwrap().contains("seconds=90000"), "{log:?}");
    let (status, refusal) = serving.ask(&short, QUERY).await;
    assert_eq!(
        (status, &refusal["errors"][0]["message"]),
        (StatusCode::UNAUTHORIZED, &json!("The token has expired. Get a new one from its issuer."))
    );
    let (status, after) = serving.ask(&long, QUERY).await;
    assert_eq!(status, StatusCode::OK, "{after}");
    let distance = fetched_at(&after).duration_since(fetched_at(&before)).as_secs();
    assert!((25 * HOUR..25 * HOUR + 60).contains(&distance), "the data was read again: {before} {after}");

    // The stream with the expired token ends. The other one continues.
    while ending.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
    let next = staying.chunk().await;
    assert!(next.unwrap().is_some(), "it continues");
}

#[tokio::test]
async fn after_a_correction_of_the_clock_tokens_are_checked_by_the_right_time() {
    for wrong_by in [-2 * HOUR, 2 * HOUR] {
        let (key, clock) = (Key::ed("k"), ShiftedClock::new(&format!("wrong{wrong_by}"), wrong_by));
        let (serving, _jwks) = clock.serve(&key).await;
        clock.shift(0);
        serving.logged(if wrong_by < 0 { "jumped forward" } else { "was set back" });
        let (expired, valid) = (token(&key, -HOUR), token(&key, HOUR));
        assert_eq!(serving.ask(&expired, QUERY).await.0, StatusCode::UNAUTHORIZED, "{wrong_by}");
        let (status, answer) = serving.ask(&valid, QUERY).await;
        assert_eq!(status, StatusCode::OK, "{wrong_by}: {answer}");
        let age = now().duration_since(fetched_at(&answer)).as_secs();
        assert!((0..60).contains(&age), "{wrong_by}: {answer}");
    }
}

/// A program that embeds the library: each of its requests follows the clock, by [`Switchboard::execute`] and by the
/// router. The test runs itself again in a process with a shifted clock.
#[tokio::test]
async fn requests_of_an_embedding_program_follow_the_clock() {
    let Some(offset_file) = env::var_os(OFFSET_FILE).map(PathBuf::from) else {
        let clock = ShiftedClock::new("embedded", 0);
        let name = "clock_jumps::requests_of_an_embedding_program_follow_the_clock";
        let mut process = Command::new(env::current_exe().unwrap());
        process.args([name, "--exact"]).env("LD_PRELOAD", clock.library());
        let output = process.env(OFFSET_FILE, clock.offset_file()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
        return;
    };
    let switchboard = Switchboard::builder().sandbox().build().unwrap();
    let caller = Caller::admin("embedded", switchboard.tenant());
    let execute = async || switchboard.execute(QUERY, &caller).await.json::<Value>().unwrap();
    let send = async || {
        let body = Body::from(json!({ "query": QUERY }).to_string());
        let request = HttpRequest::post("/graphql").header("content-type", "application/json").body(body);
        let response = switchboard.router().oneshot(request.unwrap()).await.unwrap();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let jump = async |hours| {
        shift(&offset_file, hours * HOUR);
        // The clocks are compared at most every 20 ms.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let before = execute().await;
    jump(25).await;
    let executed = execute().await;
    jump(50).await;
    let sent = send().await;
    for (before, after) in [(&before, &executed), (&executed, &sent)] {
        let distance = fetched_at(after).duration_since(fetched_at(before)).as_secs();
        assert!((25 * HOUR..25 * HOUR + 60).contains(&distance), "the data was read again: {before} {after}");
    }
}
