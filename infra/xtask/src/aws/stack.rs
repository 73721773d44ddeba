//! The local stack: one process and the files that it writes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::tools::{PORT, folder, local, tool};
use crate::workspace::succeed;

/// How long the stack may take to start, and to stop together with the functions that it started.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of the stack that `up` starts and `down` stops.
pub(super) const LEFT_RUNNING: &str = "stack";

/// The local stack, running; stopped on drop.
pub(super) struct Stack {
    pub(super) port: u16,
    process: Option<Child>,
    /// Holds the files that it and its functions write, except the log.
    scratch: PathBuf,
}

impl Stack {
    /// The stack, once it answers on this port. Its log is `target/aws/log/<name>.log`.
    pub(super) fn start(name: &str, port: u16) -> Result<Self> {
        ensure!(!answers(port), "something listens on 127.0.0.1:{port} already: `cargo xtask aws down` stops a stack");
        let log = folder("log")?.join(format!("{name}.log"));
        // Its own folder, emptied. In the system's, the functions' programs of every earlier run would pile up.
        let scratch = scratch(name)?;
        fs::remove_dir_all(&scratch)?;
        fs::create_dir(&scratch)?;
        let mut command = local(Command::new(tool("ministack")?), port);
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", &scratch)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let process = command.spawn().context("the local stack cannot be started")?;
        let mut stack = Self { port, process: Some(process), scratch };
        let end = Instant::now() + PATIENCE;
        while !answers(port) {
            if let Some(status) = stack.process.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("the local stack ended with {status}; see {}", log.display());
            }
            ensure!(Instant::now() < end, "the local stack does not answer; see {}", log.display());
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("the local stack listens on http://127.0.0.1:{port}, log in {}", log.display());
        Ok(stack)
    }

    /// Leaves it to [`down`].
    pub(super) fn leave_running(mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            fs::write(folder("log")?.join("stack.pid"), process.id().to_string())?;
        }
        println!("AWS_ENDPOINT_URL=http://127.0.0.1:{} reaches it; `cargo xtask aws down` stops it", self.port);
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // SIGTERM first, so that it stops the functions that it started.
        let _ = Command::new("kill").arg(process.id().to_string()).status();
        let end = Instant::now() + PATIENCE;
        while matches!(process.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = process.kill();
        let _ = process.wait();
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// Stops the stack that `up` left running, and returns once it is gone.
pub(super) fn down() -> Result<()> {
    let file = folder("log")?.join("stack.pid");
    let pid = fs::read_to_string(&file).context("no stack was started by `cargo xtask aws up`")?;
    let answered = answers(PORT);
    fs::remove_file(file)?;
    // The process id may belong to another process by now.
    ensure!(answered, "the stack that `cargo xtask aws up` started is gone already");
    succeed(Command::new("kill").arg(pid.trim()))?;
    let end = Instant::now() + PATIENCE;
    let there = || Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status();
    while there()?.success() {
        ensure!(Instant::now() < end, "the stack does not end; its process is {pid}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(fs::remove_dir_all(scratch(LEFT_RUNNING)?)?)
}

/// The folder for the files that a stack and its functions write, except the log.
fn scratch(name: &str) -> Result<PathBuf> {
    folder(&format!("scratch-{name}"))
}

/// Whether a stack answers on this port.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.set_read_timeout(Some(Duration::from_secs(2))).and_then(|()| {
        stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    });
    asked.is_ok_and(|answer| answer.ends_with(b"200"))
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    // Below the ports of outgoing connections, one of which could take the port before it is listened on. Two concurrent
    // runs have neighbouring process ids, and begin far from each other.
    let first = 20_000 + (std::process::id() % 700 * 16) as u16;
    (first..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).context("no port is free")
}
