//! Picture files and folders of them.

use std::fs;
use std::path::Path;

use attendance::ports::ScanError;
use attendance_camera::{FrameError, Frames, read_picture};
use reqwest::Client;

const LIMIT: usize = 16;

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

#[tokio::test]
async fn sources_come_in_order_and_files_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [("b/2.jpg", "two"), ("b/10.jpg", "ten"), ("b/c/1.jpg", "one"), ("a.jpg", "last")] {
        put(folder.path(), name, bytes.as_bytes());
    }
    let source = |name: &str| folder.path().join(name).display().to_string();
    let mut frames = Frames::open(&[source("b"), source("a.jpg")], Client::new(), LIMIT);
    for (name, bytes) in [("b/10.jpg", "ten"), ("b/2.jpg", "two"), ("b/c/1.jpg", "one"), ("a.jpg", "last")] {
        let frame = frames.next().await.expect("a frame").expect("it can be read");
        assert_eq!((frame.name, &frame.bytes[..]), (source(name), bytes.as_bytes()));
    }
    assert!(frames.next().await.is_none());
}

#[tokio::test]
async fn a_bad_source_or_file_does_not_end_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    put(folder.path(), "large.jpg", &[0; LIMIT + 1]);
    put(folder.path(), "small.jpg", &[0; LIMIT]);
    let source = |name: &str| folder.path().join(name).display().to_string();
    let mut frames = Frames::open(&[source("none"), source("")], Client::new(), LIMIT);
    let missing = frames.next().await.expect("an error").expect_err("there is no such source");
    assert_eq!(missing.to_string(), format!("{} cannot be read", source("none")));
    let large = frames.next().await.expect("an error").expect_err("it is too large");
    assert!(matches!(large, FrameError::File { cause: ScanError::TooManyBytes { limit: LIMIT, .. }, .. }), "{large:?}");
    assert_eq!(frames.next().await.expect("a frame").expect("it can be read").bytes.len(), LIMIT);
    assert!(frames.next().await.is_none());
}

#[test]
fn a_folder_is_not_a_picture() {
    let error = read_picture(&std::env::temp_dir(), LIMIT).expect_err("it is a folder");
    assert!(error.to_string().contains("is not a file"), "{error}");
}
