//! Processes of the `attendance` command, which never outlive their test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use attendance_end_to_end::{ACCESS_KEYS, Receiver, Target, environment};
use tempfile::TempDir;

/// How long a server may take to load its models on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// What the local server takes of a picture.
const IMAGE_LIMIT: usize = 20 << 20;

/// A variable of a process.
pub(crate) type Variable<'a> = (&'a str, String);

/// The command with these variables and no others, in this working directory. `ATTENDANCE_TEST_BINARY` puts another build
/// of it to the test.
pub(crate) fn attendance(directory: &Path, variables: &[Variable<'_>]) -> Command {
    let built = || env!("CARGO_BIN_EXE_attendance").into();
    let mut command = Command::new(std::env::var_os("ATTENDANCE_TEST_BINARY").unwrap_or_else(built));
    command.current_dir(directory).env_clear();
    // What a pull of missing models needs.
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null());
    command
}

/// What a command that ends by itself came to.
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

/// What a process prints, read by a thread as it comes.
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

    /// What came until now: a line may have been printed and not be here yet.
    fn so_far(&self) -> String {
        self.text.lock().expect("no reader panics").clone()
    }

    /// Everything, of a process that has ended.
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
struct Running(Child);

impl Running {
    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
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

/// A data folder that more than one process may use; gone with its last handle.
#[derive(Clone)]
pub(crate) struct Folder(Arc<TempDir>);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(Arc::new(TempDir::new().expect("a folder")))
    }

    /// The working directory of its processes.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A command on this folder, run to its end.
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
    /// A server with these variables beside the defaults, on a folder of its own.
    pub(crate) fn start(variables: &[Variable<'_>]) -> Self {
        Self::start_on(&Folder::new(), variables)
    }

    /// A server as the shared cases want it.
    pub(crate) fn start_for(receiver: &Receiver) -> Self {
        Self::start(&environment(receiver))
    }

    /// A server on this folder.
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

    /// The server as a client sees it.
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

    /// What it printed until now.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// Waits until it has printed this.
    pub(crate) async fn prints(&self, text: &str) {
        let begun = Instant::now();
        while !self.stdout().contains(text) {
            assert!(begun.elapsed() < Duration::from_secs(10), "`{text}` is not printed: {}", self.stdout());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it logged until now.
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
        let pid = self.process.0.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().expect("the system has kill");
        assert!(status.success());
    }

    /// How it ended, within this time.
    pub(crate) async fn ended(&mut self, patience: Duration) -> ExitStatus {
        tokio::task::block_in_place(|| self.process.wait(patience)).expect("the server ends")
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.0.kill().expect("it is our child");
        self.process.0.wait().expect("it is our child");
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system tells");
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes << 10
    }
}
