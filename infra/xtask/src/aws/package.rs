//! The packages for AWS: built as `sam build` builds them, weighed, and started.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::deploy::copy_models;
use super::tools::{PORT, local, tool, with_tools};
use crate::functions::functions;
use crate::workspace::{cargo_command, root, succeed, target_folder};

/// The most that a function's package may weigh unzipped, in MiB. AWS allows 250.
const PACKAGE_BUDGET: u64 = 90;

/// The most that the program of a function without models may weigh, built for AWS, in MiB.
const SMALL_BUDGET: u64 = 24;

/// How long a function may take until it asks for its first invocation. AWS allows ten seconds, in which the function also
/// reads its secret and the gallery.
const INIT_BUDGET: Duration = Duration::from_secs(4);
/// When a function that never asks is given up.
const INIT_PATIENCE: Duration = Duration::from_secs(60);

/// Builds the release packages by `sam build`, and prints what each weighs and how long it takes to start.
pub(super) fn package() -> Result<()> {
    let mut sam = local(with_tools(Command::new(tool("sam")?))?, PORT);
    succeed(sam.args(["build", "--build-in-source"]))?;
    let built = root().join(".aws-sam/build");
    check_weights(&built)?;
    println!("{:<12} {:>10} {:>10} {:>8}", "function", "bootstrap", "package", "init");
    for name in functions()?.keys() {
        let folder = built.join(name);
        let bootstrap = folder.join("bootstrap");
        let mut inits = (0..5).map(|_| init(&bootstrap)).collect::<Result<Vec<_>>>()?;
        inits.sort_unstable();
        ensure!(inits[2] <= INIT_BUDGET, "{name} takes {:?} to start, more than {INIT_BUDGET:?}", inits[2]);
        let (program, whole) = (fs::metadata(&bootstrap)?.len(), weight(&folder)?);
        println!("{name:<12} {:>6.1} MiB {:>6.1} MiB {:>5} ms", mib(program), mib(whole), inits[2].as_millis());
    }
    Ok(())
}

/// Builds this function for AWS into a folder: its program as `bootstrap` and, if it runs the face models, the models.
pub(super) fn build(name: &str, into: &Path) -> Result<()> {
    let functions = functions()?;
    let function = functions.get(name).with_context(|| format!("infra/functions.toml lists no {name}"))?;
    let arm = std::env::var("ARCHITECTURE").is_ok_and(|architecture| architecture == "arm64");
    let mut build = cargo_command();
    build.args(["lambda", "build", "--release", "--locked", if arm { "--arm64" } else { "--x86-64" }]);
    // All at once, whichever is asked for: alone, each would choose other features of the dependencies and compile them again.
    for function in functions.values() {
        build.arg("--package").arg(function.program());
    }
    succeed(&mut build)?;
    let program = target_folder().join("lambda").join(function.program()).join("bootstrap");
    fs::copy(&program, into.join("bootstrap")).with_context(|| format!("{} is missing", program.display()))?;
    if function.faces {
        copy_models(&into.join("models"))?;
    }
    Ok(())
}

/// Fails if the folder of a function among these weighs more than its budget.
pub(super) fn check_weights(built: &Path) -> Result<()> {
    for name in functions()?.keys() {
        let whole = weight(&built.join(name))?;
        ensure!(whole > 1 << 20, "the package of {name} is not what it was taken for");
        ensure!(whole <= PACKAGE_BUDGET << 20, "{name} weighs {:.1} MiB, more than {PACKAGE_BUDGET}", mib(whole));
    }
    Ok(())
}

/// Builds the smallest function for AWS, and checks its weight and its start.
pub(super) fn check_small_function() -> Result<()> {
    let mut build = local(with_tools(cargo_command())?, PORT);
    build.args(["lambda", "build", "--release", "--x86-64", "--locked", "--package", "attendance-connect"]);
    succeed(&mut build)?;
    let bootstrap = target_folder().join("lambda/attendance-connect/bootstrap");
    let weight = fs::metadata(&bootstrap).context("cargo lambda left no program")?.len();
    ensure!(weight <= SMALL_BUDGET << 20, "connect weighs {:.1} MiB, more than {SMALL_BUDGET}", mib(weight));
    let init = init(&bootstrap)?;
    ensure!(init <= INIT_BUDGET, "connect takes {init:?} to start, more than {INIT_BUDGET:?}");
    println!("connect, built for AWS: {:.1} MiB, init {} ms", mib(weight), init.as_millis());
    Ok(())
}

/// The bytes of all files in a package.
fn weight(folder: &Path) -> Result<u64> {
    let mut whole = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        whole += if metadata.is_dir() { weight(&entry.path())? } else { metadata.len() };
    }
    Ok(whole)
}

/// The address of a server that answers as an empty table and an empty bucket would.
fn empty_stores() -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client may break off.
            std::thread::spawn(move || answer_as_empty(stream));
        }
    });
    Ok(endpoint)
}

fn answer_as_empty(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length, mut method) = (String::new(), 0, String::new());
    while reader.read_line(&mut line)? > 2 {
        match line.to_ascii_lowercase().split_once("content-length:") {
            Some((_, number)) => length = number.trim().parse().unwrap_or(0),
            None if method.is_empty() => method.push_str(&line),
            None => {}
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    let (status, body) = if method.starts_with("POST") {
        ("200 OK", r#"{"Responses":{},"UnprocessedKeys":{}}"#)
    } else {
        ("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>")
    };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// The time from the function's start to its request for the first invocation. Its settings are in its environment and its
/// gallery is empty: on AWS, reading the secret and the gallery comes on top.
fn init(bootstrap: &Path) -> Result<Duration> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let begun = Instant::now();
    let mut function = Command::new(bootstrap)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "weighed")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .envs(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "x")))
        .envs(["ATTENDANCE_TABLE", "ATTENDANCE_BUCKET", "ATTENDANCE_DELIVERY_QUEUE"].map(|name| (name, "x")))
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", empty_stores()?)
        .env("ATTENDANCE_ACCESS_KEY", "a-key-of-sixteen-letters")
        .env("ATTENDANCE_PUSH_ENDPOINT", "http://127.0.0.1:1/live")
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("{} cannot be started", bootstrap.display()))?;
    let asked = loop {
        match listener.accept() {
            Ok((stream, _)) => break Ok((begun.elapsed(), stream)),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break Err(error.into()),
            Err(_) => {}
        }
        if let Some(status) = function.try_wait()? {
            bail!("{} ended with {status}", bootstrap.display());
        }
        if begun.elapsed() > INIT_PATIENCE {
            break Err(anyhow::anyhow!("{} never asks for an invocation", bootstrap.display()));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let line = asked.and_then(|(took, stream)| {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(INIT_PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok((took, line))
    });
    function.kill()?;
    function.wait()?;
    let (took, line) = line?;
    ensure!(line.contains("/runtime/invocation/next"), "{} asked {line:?} first", bootstrap.display());
    Ok(took)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
