//! Processes of the `attendance` command, which never outlive their test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use attendance_end_to_end::{ACCESS_KEYS, Receiver, Target, environment};
use tempfile::TempDir;

/// How long a server may take to load its models on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// The largest picture that the local server accepts, in bytes.
const IMAGE_LIMIT: usize = 20 << 20;

/// An environment variable of a process.
pub(crate) type Variable<'a> = (&'a str, String);

/// Returns the command with these variables and no others, in this working directory. `ATTENDANCE_TEST_BINARY` names another
/// build of it to test.
pub(crate) fn attendance(directory: &Path, variables: &[Variable<'_>]) -> Command {
    let built = || env!("CARGO_BIN_EXE_attendance").into();
    let mut command = Command::new(std::env::var_os("ATTENDANCE_TEST_BINARY").unwrap_or_else(built));
    command.current_dir(directory).env_clear();
    // Pulling missing models needs these.
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null());
    command
}

/// The outcome of a command that ends by itself.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end, which must come within a minute.
pub(crate) fn run(mut command: Command) -> Outcome {
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
    let stdout = Gathered::from(child.0.stdout.take().expect("it is piped"));
    let stderr = Gathered::from(child.0.stderr.take().expect("it is piped"));
    let status = child.wait(Duration::from_secs(60)).expect("the command ends");
    Outcome { code: status.code(), stdout: stdout.whole(), stderr: stderr.whole() }
}

/// The output of a process, which a thread reads as it comes.
struct Gathered {
    text: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let into = text.clone();
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut text = into.lock().expect("no reader panics");
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self { text, reading: Some(reading) }
    }

    /// Returns what was read until now. A printed line may not have been read yet.
    fn so_far(&self) -> String {
        self.text.lock().expect("no reader panics").clone()
    }

    /// Returns the whole output of a process that has ended.
    fn whole(mut self) -> String {
        self.reading.take().map(JoinHandle::join).transpose().expect("no reader panics");
        self.so_far()
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.so_far());
        }
    }
}

/// A process that is killed when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    /// Returns its standard output, which must be piped.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("it is piped")
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().expect("the system has kill");
        assert!(status.success());
    }

    /// Returns how it ended, or `None` if it has not ended within this time.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A data folder that several processes may use. It is deleted with its last handle.
#[derive(Clone)]
pub(crate) struct Folder(Arc<TempDir>);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(Arc::new(TempDir::new().expect("a folder")))
    }

    /// Returns the working directory of its processes.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Runs a command on this folder to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = attendance(self.path(), &[]);
        command.args(arguments);
        run(command)
    }
}

/// A running server.
pub(crate) struct Server {
    process: Running,
    stdout: Gathered,
    stderr: Gathered,
    http: String,
    key: Option<String>,
    folder: Folder,
}

impl Server {
    /// Starts a server with these variables, on a folder of its own.
    pub(crate) fn start(variables: &[Variable<'_>]) -> Self {
        Self::start_on(&Folder::new(), variables)
    }

    /// Starts a server as the shared cases need it.
    pub(crate) fn start_for(receiver: &Receiver) -> Self {
        Self::start(&environment(receiver))
    }

    /// Starts a server with these variables on this folder.
    pub(crate) fn start_on(folder: &Folder, variables: &[Variable<'_>]) -> Self {
        let mut command = attendance(folder.path(), variables);
        command.args(["serve", "--addr", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Running(command.spawn().expect("it starts"));
        let stdout = Gathered::from(process.0.stdout.take().expect("it is piped"));
        let stderr = Gathered::from(process.0.stderr.take().expect("it is piped"));
        let key = variables.iter().any(|(name, _)| *name == "ATTENDANCE_ACCESS_KEY");
        let key = key.then(|| ACCESS_KEYS[0].to_owned());
        let mut server = Self { process, stdout, stderr, http: String::new(), key, folder: folder.clone() };
        server.http = server.wait_for_address();
        server
    }

    fn wait_for_address(&mut self) -> String {
        let begun = Instant::now();
        loop {
            let printed = self.stdout();
            let complete = printed.rsplit_once('\n').map_or("", |(lines, _)| lines);
            if let Some(address) = complete.lines().find_map(|line| line.strip_prefix("Attendance listens on ")) {
                return address.to_owned();
            }
            if let Some(status) = self.process.0.try_wait().expect("it is our child") {
                panic!("the server ended with {status}: {}", self.stderr());
            }
            assert!(begun.elapsed() < START_PATIENCE, "the server does not start: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the server as a client sees it.
    pub(crate) fn target(&self) -> Target {
        let ws = format!("{}/ws/recognitions", self.http.replacen("http", "ws", 1));
        Target::new(&self.http, &ws, self.key.as_deref(), IMAGE_LIMIT)
    }

    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns what it has printed until now.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// Waits until it has printed this text.
    pub(crate) async fn prints(&self, text: &str) {
        let begun = Instant::now();
        while !self.stdout().contains(text) {
            assert!(begun.elapsed() < Duration::from_secs(10), "`{text}` is not printed: {}", self.stdout());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns what it has logged until now.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Stops it, and returns everything that it logged.
    pub(crate) async fn stop_and_read_log(mut self) -> String {
        self.terminate();
        self.ended(Duration::from_secs(30)).await;
        self.stderr.whole()
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// Returns how it ended, which must happen within this time.
    pub(crate) async fn ended(&mut self, patience: Duration) -> ExitStatus {
        tokio::task::block_in_place(|| self.process.wait(patience)).expect("the server ends")
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.0.kill().expect("it is our child");
        self.process.0.wait().expect("it is our child");
    }

    /// Returns its peak resident memory, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system tells");
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes << 10
    }
}
