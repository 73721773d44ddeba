//! Everything that needs a local stack, on one of its own.

use std::process::Command;

use anyhow::Result;

use super::deploy::deploy;
use super::package::{check_small_function, check_weights};
use super::stack::{Stack, free_port};
use super::tools::{PORT, folder, local, tool};
use crate::workspace::{build_programs, cargo_command, succeed};

/// Checks the templates, and runs the adapters' and the deployed service's tests.
pub(crate) fn run() -> Result<()> {
    let mut validate = local(Command::new(tool("sam")?), PORT);
    succeed(validate.args(["validate", "--lint", "--template-file", "template.yaml"]))?;
    succeed(local(Command::new(tool("cfn-lint")?), PORT).args(["template.yaml", "infra/alarms.yaml"]))?;
    // Before the stack: to that, compiling is a busy machine.
    build_programs()?;
    succeed(on_stack("", PORT).arg("--no-run"))?;
    let stack = Stack::start("test", free_port()?)?;
    succeed(&mut on_stack("stack", stack.port))?;
    // The receiver of the events listens where the functions send them.
    let receiver = free_port()?;
    let url = format!("http://127.0.0.1:{receiver}/events");
    let deployed = deploy(
        stack.port,
        &[
            ("AccessKey", "first-key-of-two second-key-of-two"),
            ("WebhookUrl", &url),
            ("ApiKey", "token-of-the-attendance-api"),
            ("HmacSecret", "a-plain-secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("WebhookAllowPrivate", "true"),
            ("WebhookTimeoutSeconds", "1"),
            ("RetrySchedule", "1s"),
            ("CooldownSeconds", "3"),
            ("MockWebhook", "true"),
        ],
    )?;
    check_weights(&folder("functions")?)?;
    let mut service = on_stack("aws", stack.port);
    service
        .env("ATTENDANCE_TEST_RECEIVER", format!("127.0.0.1:{receiver}"))
        .env("ATTENDANCE_TEST_HTTP", &deployed.http)
        .env("ATTENDANCE_TEST_WS", &deployed.ws)
        .env("ATTENDANCE_TEST_FUNCTIONS", folder("functions")?)
        .env("ATTENDANCE_TEST_CARGO_LAMBDA", tool("cargo-lambda")?)
        .env("ATTENDANCE_TEST_OUTPUTS", deployed.outputs.to_string());
    succeed(&mut service)?;
    drop(stack);
    check_small_function()
}

/// `cargo test` of the test program of this name, or of all that need a stack. It selects the whole workspace, as the build
/// of the programs does: for a single package cargo would choose other features of the dependencies and compile them once
/// more.
fn on_stack(name: &str, port: u16) -> Command {
    let mut command = local(cargo_command(), port);
    command.args(["test", "--workspace", "--locked"]);
    command.args(["--features", "attendance-aws/stack,attendance-end-to-end/stack"]);
    for test in ["stack", "aws"].iter().filter(|test| name.is_empty() || **test == name) {
        command.args(["--test", test]);
    }
    command.env("ATTENDANCE_TEST_STACK", format!("http://127.0.0.1:{port}"));
    command
}
