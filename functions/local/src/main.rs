//! The `attendance` command: the service as one process on one machine, and the tools around it.

#![forbid(unsafe_code)]

mod adapters;
mod commands;
mod console;
mod environment;
mod known_faces;
mod places;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::commands::{
    bulk_enroll, compare, events, import, models, receiver, recognize, samples, serve, students, watch,
};
use crate::places::Places;

/// Face recognition for attendance
///
/// Without a command it serves: cameras post frames over HTTP, a signed webhook tells the Attendance API whom they show,
/// and a WebSocket tells everybody who watches. Settings come from environment variables and from the file `.env` in the
/// working directory; the README lists them.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Options,
    #[command(flatten)]
    places: Places,
}

#[derive(Subcommand)]
enum Command {
    /// Serve over HTTP and WebSocket (the default)
    Serve(serve::Options),
    /// Find and name the faces in pictures, without a server or a database
    ///
    /// Prints a table, or with --json one line per file: {"file": ..., "results": [{"box": [top, right, bottom, left],
    /// "label": ..., "distance": ...}]}. The exit code is 1 if a file is not a readable picture.
    Recognize(recognize::Options),
    /// Tell whether two pictures show the same person
    ///
    /// Compares the largest face of each. The exit code is 0 if the distance is within the tolerance, and 1 otherwise.
    Compare(compare::Options),
    /// Enrol a folder of pictures: <DIR>/<student_id>/<any name>.{jpg,jpeg,png,webp}
    ///
    /// A server may run on the same data folder: its next request knows the students. A bad picture does not stop the
    /// others; a table at the end lists the refused files with their reasons. A picture that is already enrolled is not
    /// stored again. The exit code is 1 if nothing was enrolled.
    BulkEnroll(bulk_enroll::Options),
    /// Post frames to a running server, and print its answers and what it pushes
    ///
    /// Frames come from picture files, from folders of them, or from a URL that streams JPEGs (an IP camera's MJPEG).
    Watch(watch::Options),
    /// List or erase enrolled students
    #[command(subcommand)]
    Students(students::Command),
    /// List the events for the Attendance API, or send them again
    #[command(subcommand)]
    Events(events::Command),
    /// Run a small Attendance API that stores the webhook's events, each once, and lists them
    ///
    /// POST /attendance stores an event, GET /attendance?date=&student_id= lists, GET /attendance.csv exports. The bearer
    /// token and the signatures are checked with ATTENDANCE_API_KEY and ATTENDANCE_HMAC_SECRET, the service's own variables.
    /// Dates are in this machine's time zone (TZ). docs/integration.md explains it step by step.
    Receiver(receiver::Options),
    /// Import the embeddings of the replaced service: <DIR>/<student_id>.npy (float64 or float32, shape (n, 128))
    Import(import::Options),
    /// Fetch, convert and list the models
    #[command(subcommand)]
    Models(models::Command),
    /// Fetch a few sample photographs into known_faces/ and samples/
    Samples(samples::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let command = cli.command.unwrap_or(Command::Serve(cli.serve));
    if !matches!(command, Command::Serve(_) | Command::Receiver(_)) {
        // A tool whose output nobody reads any more (`| head`) ends like any other. A server goes on.
        sigpipe::reset();
    }
    let environment = environment::load()?;
    let places = cli.places;
    match command {
        Command::Serve(options) => serve::run(&options, &places, &environment),
        Command::Recognize(options) => recognize::run(&options, &places, &environment),
        Command::Compare(options) => compare::run(&options, &places, &environment),
        Command::BulkEnroll(options) => bulk_enroll::run(&options, &places, &environment),
        Command::Watch(options) => watch::run(&options, &environment),
        Command::Students(command) => students::run(&command, &places, &environment),
        Command::Events(command) => events::run(&command, &places, &environment),
        Command::Receiver(options) => receiver::run(&options, &environment),
        Command::Import(options) => import::run(&options, &places, &environment),
        Command::Models(command) => models::run(&command, &places, &environment),
        Command::Samples(options) => samples::run(&options),
    }
}
