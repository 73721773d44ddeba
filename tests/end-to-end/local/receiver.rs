//! Processes of `attendance receiver`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use attendance_end_to_end::{API_KEY, ENCODED_SECRET, PLAIN_SECRET};
use serde_json::Value;

use crate::process::attendance;

/// A running receiver, killed when it is dropped.
pub(crate) struct ReceiverProcess {
    child: Child,
    url: String,
}

impl ReceiverProcess {
    /// A receiver that keeps its attendance in this folder and counts every event.
    pub(crate) fn start(folder: &Path) -> Self {
        // The second of the service's secrets alone: one is being replaced.
        let variables =
            [("ATTENDANCE_API_KEY", API_KEY.to_owned()), ("ATTENDANCE_HMAC_SECRET", ENCODED_SECRET.to_owned())];
        assert_ne!(PLAIN_SECRET, ENCODED_SECRET);
        let mut command = attendance(folder, &variables);
        command.args(["receiver", "--addr", "127.0.0.1:0", "--db", "received.db", "--window", "0s"]);
        command.env("RUST_LOG", "error");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.strip_prefix("The receiver listens on ")?.to_owned()));
        // It must not block on a full pipe: read whatever it prints later.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: url.expect("it says where it listens") }
    }

    /// The URL for events.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// The rows of its CSV export, without the header.
    pub(crate) async fn exported(&self) -> Vec<Vec<String>> {
        let request = reqwest::Client::new().get(format!("{}.csv", self.url)).bearer_auth(API_KEY);
        let text = request.send().await.expect("answered").text().await.expect("text");
        text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }

    /// The rows that it lists for this student.
    pub(crate) async fn listed(&self, student: &str) -> Vec<Value> {
        let request = reqwest::Client::new().get(format!("{}?student_id={student}", self.url)).bearer_auth(API_KEY);
        let body: Value = request.send().await.expect("answered").json().await.expect("JSON");
        body["attendance"].as_array().expect("rows").clone()
    }
}

impl Drop for ReceiverProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
