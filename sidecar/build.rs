//! Writes the git commit into `TURNPIKE_GIT_HASH`; `unknown` where there is no git or no repository.

use std::process::Command;

fn main() {
    let hash = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |hash| hash.trim().to_owned());
    write_line(&format!("cargo::rustc-env=TURNPIKE_GIT_HASH={hash}"));
    // A commit moves the log of HEAD; a missing file would make every build run this again.
    let log = "../.git/logs/HEAD";
    if std::path::Path::new(log).exists() {
        write_line(&format!("cargo::rerun-if-changed={log}"));
    }
    write_line("cargo::rerun-if-changed=build.rs");
}

fn write_line(line: &str) {
    println!("{line}");
}
