//! Photographs to try the program with.

use std::fs;
use std::path::{Path, PathBuf};

use attendance_models::{Manifest, Member, Sample};

use crate::archive::{members, sha256_of};
use crate::error::PullError;
use crate::progress::Report;
use crate::python::Python;

/// Puts the test pictures of the package that the manifest names in place, and returns the files that were written:
/// those of a student as `<known_dir>/<student>/<file>`, the others as `<samples_dir>/<file>`. What is there already is
/// kept as it is. `from` is the source archive, for a machine without a network.
///
/// # Errors
/// Why the archive cannot be had or a picture not be written; those written before stay.
pub fn pull_samples(
    known_dir: &Path,
    samples_dir: &Path,
    from: Option<&Path>,
    report: &mut Report<'_>,
) -> Result<Vec<PathBuf>, PullError> {
    let manifest = Manifest::embedded();
    let place = |sample: &Sample| match &sample.student {
        Some(student) => known_dir.join(student).join(sample.member.file()),
        None => samples_dir.join(sample.member.file()),
    };
    let wanted: Vec<(&Sample, PathBuf)> =
        manifest.samples.iter().map(|sample| (sample, place(sample))).filter(|(_, path)| !path.exists()).collect();
    let mut written = Vec::new();
    for source in &manifest.sources {
        let wanted: Vec<_> = wanted.iter().filter(|(sample, _)| sample.source == source.name).collect();
        if wanted.is_empty() {
            continue;
        }
        let work = tempfile::tempdir().map_err(PullError::write(&std::env::temp_dir()))?;
        let archive = match from {
            Some(file) => file.to_owned(),
            None => Python::default().download(source, work.path(), report)?,
        };
        if !source.sha256.contains(&sha256_of(&archive, report)?) {
            return Err(match from {
                Some(file) => PullError::UnknownFile { path: file.to_owned(), known: source.file() },
                None => PullError::WrongChecksum { file: source.file() },
            });
        }
        let names: Vec<&Member> = wanted.iter().map(|(sample, _)| &sample.member).collect();
        for ((_, path), bytes) in wanted.iter().zip(members(&archive, &names, report)?) {
            write_new(path, &bytes)?;
            written.push(path.clone());
        }
    }
    Ok(written)
}

/// Writes a file that other processes see whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), PullError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(PullError::write(folder))?;
    // Hidden, so that a folder of known faces which is read meanwhile does not list it.
    let partial = tempfile::Builder::new().prefix(".sample-").tempdir_in(folder).map_err(PullError::write(folder))?;
    let file = partial.path().join("picture");
    fs::write(&file, bytes).map_err(PullError::write(&file))?;
    fs::rename(&file, path).map_err(PullError::write(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_go_to_their_places_once() {
        let folder = tempfile::tempdir().unwrap();
        let (known, samples) = (folder.path().join("known_faces"), folder.path().join("samples"));
        fs::create_dir_all(known.join("biden")).unwrap();
        fs::write(known.join("biden/biden.jpg"), "a person's own").unwrap();
        let mut written = pull_samples(&known, &samples, None, &mut |_| {}).unwrap();
        written.sort();
        let names = ["32bit.png", "obama2.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg"];
        let mut expected = vec![known.join("obama/obama.jpg")];
        expected.extend(names.map(|name| samples.join(name)));
        assert_eq!(written, expected);
        assert_eq!(fs::read(known.join("biden/biden.jpg")).unwrap(), b"a person's own");
        for sample in Manifest::embedded().samples.iter().filter(|sample| sample.student.is_none()) {
            let bytes = fs::read(samples.join(sample.member.file())).unwrap();
            assert_eq!(bytes.len() as u64, sample.member.bytes);
        }
        assert_eq!(fs::read_dir(known.join("obama")).unwrap().count(), 1, "nothing but the picture is left");

        let nothing = folder.path().join("absent.tar.gz");
        assert!(pull_samples(&known, &samples, Some(&nothing), &mut |_| {}).unwrap().is_empty(), "all is there");
        fs::remove_file(samples.join("32bit.png")).unwrap();
        fs::write(&nothing, "another file").unwrap();
        let error = pull_samples(&known, &samples, Some(&nothing), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("what can be used is face_recognition-1.3.0.tar.gz"), "{error}");
    }
}
