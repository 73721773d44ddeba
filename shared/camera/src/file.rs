use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use attendance::ports::ScanError;
use bytes::Bytes;

/// Returns the bytes of a picture file, of at most `limit` bytes. Neither a larger file nor something other than a file is
/// read. Blocks.
///
/// # Errors
/// [`ScanError::TooManyBytes`], and [`ScanError::Invalid`] if it cannot be read.
pub fn read_picture(path: &Path, limit: usize) -> Result<Bytes, ScanError> {
    let unreadable = |error: io::Error| ScanError::Invalid { reason: format!("file cannot be read ({error})") };
    // Before it is opened: opening a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ScanError::Invalid { reason: "is not a file".into() });
    }
    if metadata.len() > limit as u64 {
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        return Err(ScanError::TooManyBytes { size, limit });
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    File::open(path).map_err(unreadable)?.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes.into())
}
