//! What a data folder holds, and what crashes, old versions and damage make of it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use attendance::ports::{
    Change, Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, EventStore, GalleryStore, GalleryVersion, StoreError,
};
use attendance::{Embedding, Entries, EventStatus, ModelId, PhotoDigest, PhotoFormat, StudentId, Timestamp};
use attendance_embedded::{Database, OpenError};
use attendance_testkit::face;
use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

fn open(data: &Path) -> Database {
    Database::open(data).expect("the data folder opens")
}

fn student(name: &str) -> StudentId {
    StudentId::parse(name).expect("a valid id")
}

fn enrollment(name: &str, photo: &str, format: PhotoFormat) -> Enrollment {
    let bytes = Bytes::from(photo.to_owned());
    Enrollment {
        id: EnrollmentId::generate(),
        student: student(name),
        digest: PhotoDigest::of(&bytes),
        origin: EnrollmentOrigin::Direct,
        photo: Some((format, bytes)),
        model: ModelId::new("model-a", 128),
        faces: vec![
            (face(0, 0.123).embedding(), None),
            (face(1, 0.0).embedding(), Some(Bytes::from(format!("crop {photo}")))),
        ],
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}

/// Every file below `faces`, relative to it.
fn files(data: &Path) -> BTreeSet<PathBuf> {
    let root = data.join("faces");
    let mut found = BTreeSet::new();
    for folder in fs::read_dir(&root).expect("faces") {
        let folder = folder.expect("an entry").path();
        for file in fs::read_dir(&folder).expect("a student's folder") {
            let file = file.expect("an entry").path();
            found.insert(file.strip_prefix(&root).expect("below it").to_owned());
        }
    }
    found
}

/// Whether any file of the data folder holds these bytes.
fn holds(data: &Path, bytes: &[u8]) -> bool {
    let contains =
        |path: &Path| fs::read(path).is_ok_and(|content| content.windows(bytes.len()).any(|window| window == bytes));
    let top = fs::read_dir(data).expect("the data folder").map(|entry| entry.expect("an entry").path());
    top.filter(|path| path.is_file())
        .chain(files(data).iter().map(|file| data.join("faces").join(file)))
        .any(|path| contains(&path))
}

#[tokio::test]
async fn pictures_and_crops_lie_in_the_students_folder() {
    let data = TempDir::new().expect("a folder");
    // The folder is made, with its parents.
    let data = data.path().join("deep/data");
    let database = open(&data);
    let mut expected = BTreeSet::new();
    for (photo, format, extension) in
        [("one", PhotoFormat::Jpeg, "jpg"), ("two", PhotoFormat::Png, "png"), ("three", PhotoFormat::WebP, "webp")]
    {
        database.gallery().enroll(enrollment("siswaA", photo, format)).await.expect("enrolled");
        let digest = PhotoDigest::of(photo.as_bytes());
        let path = PathBuf::from(format!("siswaA/{digest}.{extension}"));
        assert_eq!(fs::read(data.join("faces").join(&path)).expect("the picture"), photo.as_bytes());
        let crop = PathBuf::from(format!("siswaA/{digest}-1.jpg"));
        assert_eq!(fs::read(data.join("faces").join(&crop)).expect("the crop"), format!("crop {photo}").as_bytes());
        expected.extend([path, crop]);
    }
    database.gallery().enroll(enrollment("siswaA", "one", PhotoFormat::Jpeg)).await.expect("a repeat");
    assert_eq!(files(&data), expected, "and nothing else");
    open(&data);
    assert_eq!(files(&data), expected, "the next start keeps them");
}

#[tokio::test]
async fn the_next_start_sweeps_what_no_row_knows_and_only_that() {
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    database.gallery().enroll(enrollment("siswaA", "kept", PhotoFormat::Png)).await.expect("enrolled");
    let kept = files(data.path());
    let (known, stray) = (PhotoDigest::of(b"kept"), PhotoDigest::of(b"stray"));
    let faces = data.path().join("faces");
    fs::create_dir(faces.join("siswaB")).expect("a folder");
    fs::create_dir(faces.join("not a student")).expect("a folder");
    let strays = [
        format!("siswaA/{stray}.jpg"),
        format!("siswaA/{stray}-0.jpg"),
        // The known picture, but not this crop of it, and not in this format.
        format!("siswaA/{known}-0.jpg"),
        format!("siswaA/{known}.jpg"),
        "siswaA/.00ff-0.tmp".to_owned(),
        format!("siswaB/{known}.png"),
    ];
    let foreign =
        ["siswaA/README.txt".to_owned(), "siswaA/portrait.jpg".to_owned(), format!("not a student/{stray}.jpg")];
    for name in strays.iter().chain(&foreign) {
        fs::write(faces.join(name), "x").expect("written");
    }
    open(data.path());
    let expected: BTreeSet<_> = kept.into_iter().chain(foreign.iter().map(PathBuf::from)).collect();
    assert_eq!(files(data.path()), expected);
    assert!(!faces.join("siswaB").exists(), "an empty folder goes too");
}

#[tokio::test]
async fn a_removal_leaves_nothing_of_the_person() {
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    let gallery = database.gallery();
    let enrolled = enrollment("erased-student", "a picture of somebody", PhotoFormat::Jpeg);
    let digest = enrolled.digest.to_string();
    let vector = enrolled.faces[0].0.to_bytes();
    for n in 0..50 {
        let other = enrollment(&format!("other{n}"), &format!("{n}"), PhotoFormat::Jpeg);
        gallery.enroll(Enrollment { faces: vec![(face(n, 0.9).embedding(), None)], ..other }).await.expect("enrolled");
    }
    gallery.enroll(enrolled).await.expect("enrolled");
    let traces: [&[u8]; 4] = [b"erased-student", digest.as_bytes(), &vector, b"a picture of somebody"];
    for trace in traces {
        assert!(holds(data.path(), trace), "it is there before");
    }
    assert_eq!(gallery.remove(&student("erased-student")).await.expect("removed"), 2);
    for trace in traces {
        assert!(!holds(data.path(), trace), "{:?} is left", String::from_utf8_lossy(trace));
    }
    assert!(!data.path().join("faces/erased-student").exists());
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_finished_by_a_repeat() {
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    database.gallery().enroll(enrollment("siswaA", "a", PhotoFormat::Jpeg)).await.expect("enrolled");
    // The rows went, then the power.
    let raw = Connection::open(data.path().join("attendance.db")).expect("opened");
    raw.execute_batch("PRAGMA foreign_keys = ON; DELETE FROM enrollment").expect("deleted");
    assert_eq!(database.gallery().remove(&student("siswaA")).await.expect("removed"), 0);
    assert_eq!(files(data.path()), BTreeSet::new());
}

#[tokio::test]
async fn embeddings_of_the_first_schema_are_read_and_those_of_another_model_are_kept() {
    let data = TempDir::new().expect("a folder");
    let first = Connection::open(data.path().join("attendance.db")).expect("opened");
    first.execute_batch(include_str!("../src/migrations/0001.sql")).expect("the first schema");
    first.pragma_update(None, "user_version", 1).expect("set");
    let stored = face(3, 0.25).embedding();
    first
        .execute_batch(
            "INSERT INTO enrollment VALUES (1, x'000102030405060708090a0b0c0d0e0f', 'siswaA', 'd', NULL, 'model-a', 1, 0);
             UPDATE gallery SET seq = 1, encodings = 1, labels = 1",
        )
        .expect("enrolled");
    first.execute("INSERT INTO embedding VALUES (1, 0, ?1, 0)", [stored.to_bytes()]).expect("stored");
    drop(first);

    let gallery = open(data.path()).gallery();
    let model = ModelId::new("model-a", 128);
    let (changes, _) = gallery.changes(&GalleryVersion::default(), &model).await.expect("changes");
    let [Change::Add { embeddings, .. }] = &changes[..] else { panic!("one enrolment, not {changes:?}") };
    assert_eq!(*embeddings, [stored]);
    // Another model's embeddings have another length.
    let long = ModelId::new("model-b", 512);
    let faces = vec![(Embedding::new(&[0.5; 512]).expect("finite"), None)];
    let other = Enrollment { model: long.clone(), faces, ..enrollment("siswaB", "b", PhotoFormat::Jpeg) };
    gallery.enroll(other).await.expect("enrolled");
    let (changes, _) = gallery.changes(&GalleryVersion::default(), &long).await.expect("changes");
    let [Change::Add { embeddings, .. }] = &changes[..] else { panic!("one enrolment, not {changes:?}") };
    assert_eq!(embeddings[0].values().len(), 512);
    // A row that is not as long as its model's embeddings is damage.
    let changes = gallery.changes(&GalleryVersion::default(), &ModelId::new("model-b", 128)).await;
    assert!(matches!(changes, Err(StoreError::Damaged(_))), "{changes:?}");
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let data = TempDir::new().expect("a folder");
    drop(open(data.path()));
    let path = data.path().join("attendance.db");
    let raw = Connection::open(&path).expect("opened");
    raw.pragma_update(None, "user_version", 99).expect("set");
    let error = Database::open(data.path()).err().expect("refused");
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("newer version"), "{error}");
    let version: i64 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
    assert_eq!(version, 99);
}

#[test]
fn what_is_no_database_is_damage_and_what_is_no_folder_says_so() {
    let data = TempDir::new().expect("a folder");
    fs::write(data.path().join("attendance.db"), "not a database, but long enough to be looked at".repeat(50))
        .expect("written");
    let error = Database::open(data.path()).err().expect("refused");
    assert!(matches!(&error, OpenError::Database { source: StoreError::Damaged(_), .. }), "{error:?}");
    let file = data.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Database::open(&file.join("data")).err().expect("refused");
    assert!(matches!(&error, OpenError::Folder { .. }), "{error:?}");
    assert!(error.to_string().contains("file"), "it names the path: {error}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn undecodable_rows_are_damage() {
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    database.gallery().enroll(enrollment("siswaA", "a", PhotoFormat::Jpeg)).await.expect("enrolled");
    let raw = Connection::open(data.path().join("attendance.db")).expect("opened");
    let nan = f32::NAN.to_le_bytes().repeat(128);
    for damage in [
        "UPDATE enrollment SET student = '../x'",
        "UPDATE enrollment SET student = 'a'; UPDATE embedding SET vector = ?1",
    ] {
        for statement in damage.split(';') {
            let mut statement = raw.prepare(statement).expect("prepared");
            let nan: &[&dyn rusqlite::ToSql] = if statement.parameter_count() == 1 { &[&nan] } else { &[] };
            statement.execute(nan).expect("damaged");
        }
        let changes = database.gallery().changes(&GalleryVersion::default(), &ModelId::new("model-a", 128)).await;
        assert!(matches!(changes, Err(StoreError::Damaged(_))), "{changes:?}");
    }
}

#[tokio::test]
async fn a_database_that_stays_locked_is_unavailable_and_nothing_is_written() {
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    let raw = Connection::open(data.path().join("attendance.db")).expect("opened");
    raw.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let started = Instant::now();
    let result = database.gallery().enroll(enrollment("siswaA", "a", PhotoFormat::Jpeg)).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert!(started.elapsed() >= Duration::from_secs(9), "it waited first");
    assert_eq!(files(data.path()), BTreeSet::new(), "its pictures are gone");
    assert_eq!(database.gallery().counts().await.expect("reading goes on").encodings, 0);
    raw.execute_batch("ROLLBACK").expect("unlocked");
    assert!(database.gallery().enroll(enrollment("siswaA", "a", PhotoFormat::Jpeg)).await.expect("enrolled").new);
}

/// The child of the test below: enrols pictures until it is killed, and says what was acknowledged.
#[tokio::test]
#[ignore = "started by `nothing_acknowledged_is_lost_when_a_process_is_killed`"]
async fn enrol_until_killed() {
    let data = std::env::var_os("ATTENDANCE_TEST_DATA").expect("started by the test below");
    let gallery = open(Path::new(&data)).gallery();
    for n in 0.. {
        let photo = format!("{} {n}", std::process::id());
        let name = format!("siswa{}", n % 7);
        let enrolled = gallery.enroll(enrollment(&name, &photo, PhotoFormat::Jpeg)).await.expect("enrolled");
        assert_eq!(enrolled, Enrolled { saved: 2, new: true });
        println!("stored\t{name}\t{photo}");
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_a_process_is_killed() {
    let data = TempDir::new().expect("a folder");
    // Another process that goes on throughout: the sweep at each start must leave its enrolments alone.
    let beside = open(data.path()).gallery();
    let mut acknowledged = Vec::new();
    for round in 0..8u64 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "enrol_until_killed", "--nocapture"])
            .env("ATTENDANCE_TEST_DATA", data.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let until = Instant::now() + Duration::from_millis(120 + round * 23);
        for n in 0.. {
            if Instant::now() > until {
                break;
            }
            let photo = format!("beside {round} {n}");
            beside.enroll(enrollment("beside", &photo, PhotoFormat::Jpeg)).await.expect("enrolled");
            acknowledged.push(("beside".to_owned(), photo));
        }
        child.kill().expect("killed");
        let output = child.wait_with_output().expect("its output");
        // The last line may be cut off, and is then no acknowledgement.
        let output = String::from_utf8(output.stdout).expect("text");
        let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines().filter_map(|line| line.split_once("stored\t")) {
            let (name, photo) = line.1.split_once('\t').expect("two fields");
            acknowledged.push((name.to_owned(), photo.to_owned()));
        }
        let gallery = open(data.path()).gallery();
        for (name, photo) in &acknowledged {
            let digest = PhotoDigest::of(photo.as_bytes());
            let found = gallery.find(&student(name), &digest, &EnrollmentOrigin::Direct).await.expect("found");
            assert_eq!(found, Some(Enrolled { saved: 2, new: false }), "{name} {photo}");
            let path = data.path().join(format!("faces/{name}/{digest}.jpg"));
            assert_eq!(fs::read(path).expect("its picture"), photo.as_bytes());
        }
        let counts = gallery.counts().await.expect("counts");
        let enrollments = counts.encodings / 2;
        assert_eq!(files(data.path()).len(), 2 * enrollments, "no picture without a row");
        assert!(enrollments >= acknowledged.len() && enrollments <= acknowledged.len() + 1 + round as usize);
    }
    let children = acknowledged.iter().filter(|(name, _)| name != "beside").count();
    assert!(children > 20, "the children stored only {children}");
    println!("{} enrolments acknowledged, {children} of them by processes that were killed", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unending_stream_of_enrolments_does_not_keep_a_removal_out() {
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    let streams: Vec<_> = (0..4)
        .map(|stream| {
            let gallery = open(data.path()).gallery();
            tokio::spawn(async move {
                for n in 0.. {
                    let photo = format!("{stream} {n}");
                    gallery.enroll(enrollment("siswaA", &photo, PhotoFormat::Jpeg)).await.expect("enrolled");
                }
            })
        })
        .collect();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let removing = database.gallery();
        tokio::time::timeout(Duration::from_secs(5), removing.remove(&student("siswaB")))
            .await
            .expect("in time")
            .expect("removed");
    }
    streams.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_hundred_thousand_embeddings_load_quickly_and_follow_cheaply() {
    const ALL: usize = 100_000;
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    let gallery = database.gallery();
    // 100 embeddings a picture, as an import brings them.
    for n in 0..ALL / 100 {
        let faces = (0..100)
            .map(|i| {
                let mut values = [0.01; 128];
                values[i] = n as f32;
                (Embedding::new(&values).expect("finite"), None)
            })
            .collect();
        let imported =
            Enrollment { photo: None, faces, ..enrollment(&format!("s{n}"), &format!("rows {n}"), PhotoFormat::Jpeg) };
        gallery.enroll(imported).await.expect("enrolled");
    }
    let model = ModelId::new("model-a", 128);
    let started = Instant::now();
    let (changes, version) = gallery.changes(&GalleryVersion::default(), &model).await.expect("changes");
    let loaded = started.elapsed();
    assert_eq!(changes.len(), ALL / 100);
    let started = Instant::now();
    let held = attendance::Gallery::default().with_changes(changes, version.clone());
    let built = started.elapsed();
    assert_eq!(held.len(), ALL);

    let started = Instant::now();
    for _ in 0..100 {
        assert!(gallery.changes(&version, &model).await.expect("changes").0.is_empty());
    }
    let unchanged = started.elapsed() / 100;
    gallery.enroll(enrollment("late", "late", PhotoFormat::Jpeg)).await.expect("enrolled");
    let started = Instant::now();
    assert_eq!(gallery.changes(&version, &model).await.expect("changes").0.len(), 1);
    let delta = started.elapsed();
    let started = Instant::now();
    let reopened = open(data.path());
    let opened = started.elapsed();
    assert_eq!(reopened.gallery().counts().await.expect("counts").encodings, ALL + 2);
    println!(
        "100,000 embeddings: read {loaded:?}, built {built:?}; unchanged {unchanged:?}, one new {delta:?}, open {opened:?}"
    );
    assert!(unchanged * 10 < loaded && delta * 2 < loaded, "all {loaded:?}, none {unchanged:?}, one {delta:?}");
}

#[tokio::test]
async fn an_empty_outbox_costs_no_write() {
    let data = TempDir::new().expect("a folder");
    let database = open(data.path());
    // Somebody else holds the write lock: asking for what is due does not wait for it.
    let raw = Connection::open(data.path().join("attendance.db")).expect("opened");
    raw.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let entries = Entries::new(database.events());
    let claiming = entries.claim_due(Timestamp::from_millis(5), Duration::from_secs(1), 10).await;
    assert!(claiming.expect("claimed").is_empty());
    assert!(database.events().list(Some(EventStatus::Dead), 10, None).await.expect("listed").events.is_empty());
}
