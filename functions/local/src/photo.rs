//! Picture files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use attendance::ports::ScanError;
use attendance_vision::MAX_BYTES;
use bytes::Bytes;

/// The file's bytes. One that is larger than any picture may be is not read, and neither is what is no file.
///
/// # Errors
/// [`ScanError::TooManyBytes`], and [`ScanError::Invalid`] where it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Bytes, ScanError> {
    let unreadable = |error: io::Error| ScanError::Invalid { reason: format!("file cannot be read ({error})") };
    // Before it is opened: a pipe would wait for somebody to write.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ScanError::Invalid { reason: "is not a file".into() });
    }
    if metadata.len() > MAX_BYTES as u64 {
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        return Err(ScanError::TooManyBytes { size, limit: MAX_BYTES });
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    File::open(path).map_err(unreadable)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes.into())
}
