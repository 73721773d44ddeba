use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use attendance::ports::{Enrollment, StoreError};
use attendance::{PhotoDigest, PhotoFormat, StudentId};

/// How long to wait for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
const LOCK_POLL: Duration = Duration::from_millis(2);

/// The pictures and crops, one folder per student, with the lock that guards them across all processes.
///
/// Whoever stores pictures holds the lock shared; whoever deletes some holds it exclusively. Every operation opens the
/// lock files anew: such locks belong to the open file, so two threads exclude each other as two processes do, and the
/// system releases what a killed process held.
pub(crate) struct FaceFolder {
    root: PathBuf,
    lock: PathBuf,
    // Held for a moment by everybody on the way to the lock, and for the whole wait by whoever wants it exclusively:
    // otherwise enrolments that overlap without end would keep a removal waiting for ever.
    gate: PathBuf,
}

/// Holds the folder's lock until it is dropped.
pub(crate) struct FolderLock {
    _file: File,
}

/// Pictures of one enrolment, durable under names that no reader looks at. They are deleted on drop.
pub(crate) struct StagedPhotos {
    folder: PathBuf,
    // From, to.
    files: Vec<(PathBuf, PathBuf)>,
}

impl FaceFolder {
    /// The folder below the data folder, made if it does not exist. Errs with the path that could not be made.
    pub(crate) fn open(data: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let root = data.join("faces");
        // Photographs of children: what is made here is for its owner alone. An existing folder keeps its mode.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&root);
        made.map_err(|error| (root.clone(), error))?;
        for folder in [Some(data), data.parent()].into_iter().flatten() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            sync_folder(folder).map_err(|error| (folder.to_owned(), error))?;
        }
        let folder = Self { root, lock: data.join("faces.lock"), gate: data.join("faces.gate") };
        for path in [&folder.lock, &folder.gate] {
            open_lock(path).map_err(|error| (path.clone(), error))?;
        }
        Ok(folder)
    }

    /// A lock that keeps everybody from deleting pictures while it is held.
    pub(crate) fn lock_shared(&self) -> Result<FolderLock, StoreError> {
        self.take(File::try_lock_shared)
    }

    /// A lock that keeps everybody else from storing and deleting pictures while it is held.
    pub(crate) fn lock_exclusive(&self) -> Result<FolderLock, StoreError> {
        self.take(File::try_lock)
    }

    fn take(&self, lock: fn(&File) -> Result<(), TryLockError>) -> Result<FolderLock, StoreError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let gate = open_lock(&self.gate).map_err(StoreError::unavailable)?;
        wait_for(&gate, File::try_lock, deadline)?;
        let file = open_lock(&self.lock).map_err(StoreError::unavailable)?;
        wait_for(&file, lock, deadline)?;
        Ok(FolderLock { _file: file })
    }

    /// The enrolment's pictures, durable, to be published once its row is known to be new. The caller holds the lock.
    pub(crate) fn stage(&self, enrollment: &Enrollment) -> io::Result<StagedPhotos> {
        let folder = self.root.join(enrollment.student.as_str());
        let mut staged = StagedPhotos { folder: folder.clone(), files: Vec::new() };
        let photo = enrollment.photo.iter().map(|(format, bytes)| (photo_name(&enrollment.digest, *format), bytes));
        let crops = enrollment.faces.iter().enumerate().filter_map(|(n, (_, crop))| {
            crop.as_ref().map(|bytes| (crop_name(&enrollment.digest.to_string(), n), bytes))
        });
        for (name, bytes) in photo.chain(crops) {
            if staged.files.is_empty() {
                fs::create_dir_all(&folder)?;
                sync_folder(&self.root)?;
            }
            let from = folder.join(format!(".{:032x}-{}{TEMPORARY}", enrollment.id.0, staged.files.len()));
            staged.files.push((from.clone(), folder.join(name)));
            let mut file = File::create_new(&from)?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        Ok(staged)
    }

    /// Deletes everything of this student. The caller holds the lock exclusively.
    pub(crate) fn remove(&self, student: &StudentId) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(student.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(&self.root),
        }
    }

    /// Deletes the files that this program wrote and `expected` does not name, and returns how many. Other people's files
    /// stay. The caller holds the lock exclusively.
    pub(crate) fn sweep(
        &self,
        mut expected: impl FnMut(&StudentId) -> Result<HashSet<String>, StoreError>,
    ) -> Result<usize, StoreError> {
        let mut deleted = 0;
        for entry in fs::read_dir(&self.root).map_err(StoreError::unavailable)? {
            let folder = entry.map_err(StoreError::unavailable)?.path();
            let name = folder.file_name().and_then(|name| name.to_str());
            let Some(student) = name.and_then(|name| StudentId::parse(name).ok()) else { continue };
            if !folder.is_dir() {
                continue;
            }
            let expected = expected(&student)?;
            let mut left = 0;
            for entry in fs::read_dir(&folder).map_err(StoreError::unavailable)? {
                let entry = entry.map_err(StoreError::unavailable)?;
                let name = entry.file_name();
                let ours = name.to_str().is_some_and(|name| is_ours(name) && !expected.contains(name));
                if ours {
                    fs::remove_file(entry.path()).map_err(StoreError::unavailable)?;
                    deleted += 1;
                } else {
                    left += 1;
                }
            }
            if left == 0 {
                fs::remove_dir(&folder).map_err(StoreError::unavailable)?;
            }
        }
        Ok(deleted)
    }
}

impl StagedPhotos {
    /// Gives the pictures their names, durably. If that fails, those that were named already are deleted.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        for (from, to) in &mut self.files {
            fs::rename(&from, &to)?;
            // From here on this is what dropping `self` on a failure has to delete.
            from.clone_from(to);
        }
        sync_folder(&self.folder)?;
        self.files.clear();
        Ok(())
    }
}

impl Drop for StagedPhotos {
    fn drop(&mut self) {
        for (file, _) in &self.files {
            // What cannot be deleted now is swept at the next start.
            let _ = fs::remove_file(file);
        }
    }
}

const TEMPORARY: &str = ".tmp";

/// The name of a photograph's file.
pub(crate) fn photo_name(digest: &PhotoDigest, format: PhotoFormat) -> String {
    format!("{digest}.{}", format.extension())
}

/// The name of the file of a photograph's n-th face.
pub(crate) fn crop_name(digest: &str, n: usize) -> String {
    format!("{digest}-{n}.jpg")
}

/// Whether this program gives files names like this one.
fn is_ours(name: &str) -> bool {
    if name.starts_with('.') && name.ends_with(TEMPORARY) {
        return true;
    }
    let Some((stem, extension)) = name.split_once('.') else { return false };
    let (digest, n) = stem.split_once('-').map_or((stem, None), |(digest, n)| (digest, Some(n)));
    digest.len() == 64
        && digest.bytes().all(|b| b.is_ascii_hexdigit())
        && n.is_none_or(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && matches!(extension, "jpg" | "png" | "webp")
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn wait_for(file: &File, lock: fn(&File) -> Result<(), TryLockError>, deadline: Instant) -> Result<(), StoreError> {
    loop {
        match lock(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            Err(error) => return Err(StoreError::unavailable(io::Error::from(error))),
        }
    }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
