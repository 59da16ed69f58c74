//! `.ci/install`: lists the missing tools before it installs them, and installs nothing with `NO_INSTALL=1`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// A folder with an `apt-get` that records its arguments; removed at the end of the test.
struct FakeSystem(PathBuf);

impl FakeSystem {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("switchboard-tools-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("apt-get");
        fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}/calls\n", folder.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    /// Runs the script without a browser; returns whether it succeeded, its two outputs, and the calls of `apt-get`.
    fn install(&self, no_install: &str) -> (bool, String, String, String) {
        let output = Command::new("bash")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/install"))
            .env("PATH", format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap()))
            .env("CHROMIUM", "/no/such/browser")
            .env("NO_INSTALL", no_install)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let calls = fs::read_to_string(self.0.join("calls")).unwrap_or_default();
        (output.status.success(), text(output.stdout), text(output.stderr), calls)
    }
}

impl Drop for FakeSystem {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn nothing_is_installed_with_no_install() {
    let system = FakeSystem::new("no");
    let (succeeded, _, errors, calls) = system.install("1");
    assert!(!succeeded && calls.is_empty(), "{calls}");
    assert!(errors.contains("nothing is installed because of NO_INSTALL=1"), "{errors}");
    assert!(errors.contains("\n  Chromium (Debian: chromium)\n"), "{errors}");
}

#[test]
fn missing_tools_are_listed_before_they_are_installed() {
    let system = FakeSystem::new("yes");
    let (succeeded, printed, errors, calls) = system.install("");
    // The recorded installation brings no browser.
    assert!(!succeeded, "{printed}");
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        assert!(errors.contains("no root or no apt-get") && calls.is_empty(), "{errors}");
        return;
    }
    assert!(printed.contains("Missing, to be installed now with apt-get"), "{printed}");
    assert!(printed.contains("\n  Chromium (Debian: chromium)\n"), "{printed}");
    let lines: Vec<&str> = calls.lines().collect();
    assert_eq!(lines[0], "-qq -o DPkg::Lock::Timeout=300 update");
    assert!(
        lines[1].starts_with("-qq -o DPkg::Lock::Timeout=300 install --no-install-recommends "),
        "{calls}"
    );
    assert!(lines[1].ends_with(" chromium") && lines.len() == 2, "{calls}");
    assert!(errors.contains("still missing or too old"), "{errors}");
}
