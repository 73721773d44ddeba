use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use attendance::{Environment, InvalidSchedule, RetryPolicy};
use attendance_receiver::{Attendance, Gate, Settings, router};
use attendance_server::{Server, stop_signal};
use clap::Args;
use jiff::tz::TimeZone;

use crate::console::{log_to_stderr, say};

/// The arguments of `receiver`.
#[derive(Args)]
pub(crate) struct Options {
    /// Address to listen on; port 0 takes a free port and prints it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9000")]
    addr: SocketAddr,
    /// Database file of the attendance
    #[arg(long, value_name = "FILE", default_value = "attendance-received.db")]
    db: PathBuf,
    /// Count the sightings of a student within this time once; 0s counts every event
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = window)]
    window: Duration,
    /// Accept connections from other machines even if no key is set
    #[arg(long)]
    open: bool,
}

fn window(text: &str) -> Result<Duration, InvalidSchedule> {
    if text == "0s" { Ok(Duration::ZERO) } else { RetryPolicy::parse_duration(text) }
}

pub(crate) fn run(options: &Options, environment: &Environment) -> Result<ExitCode> {
    log_to_stderr();
    let gate = Gate::new(environment.text("ATTENDANCE_API_KEY"), environment.text("ATTENDANCE_HMAC_SECRET"))
        .context("ATTENDANCE_HMAC_SECRET cannot be used")?;
    if !gate.has_key() && !options.addr.ip().is_loopback() && !options.open {
        bail!(
            "{} can be reached from other machines and no key is set: set ATTENDANCE_API_KEY, or start with --open to \
             let everybody in",
            options.addr
        );
    }
    let asked = |asked, name| if asked { "asked for".to_owned() } else { format!("not asked for ({name} is empty)") };
    let bearer = asked(gate.has_key(), "ATTENDANCE_API_KEY");
    let signature = asked(gate.has_secrets(), "ATTENDANCE_HMAC_SECRET");
    let attendance =
        Attendance::open(&options.db).with_context(|| format!("{} cannot be opened", options.db.display()))?;
    let settings = Settings { gate, attendance, window: options.window, zone: TimeZone::system() };
    tokio::runtime::Runtime::new()?.block_on(async {
        let server = Server::bind(options.addr, None).await;
        let server = server.with_context(|| format!("cannot listen on {}", options.addr))?;
        say(format_args!("The receiver listens on http://{}/attendance", server.local_addr()?));
        say(format_args!("  attendance {}", options.db.display()));
        say(format_args!("  bearer     {bearer}"));
        say(format_args!("  signature  {signature}"));
        server.serve(router(settings), stop_signal()).await;
        Ok(ExitCode::SUCCESS)
    })
}
