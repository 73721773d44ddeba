//! An acknowledged enrolment survives a kill at any moment, and nothing else is left behind.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attendance_end_to_end::{Target, pictures};
use reqwest::multipart::{Form, Part};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process::{Folder, Server};

const KILLS: usize = 20;
/// The number of concurrent enrolments.
const CLIENTS: usize = 4;

/// The acknowledged enrolments: picture number to answer.
type Acknowledged = Arc<Mutex<BTreeMap<u64, (String, Value)>>>;

pub(crate) async fn what_was_acknowledged_survives_twenty_kills() {
    let seed = std::env::var("ATTENDANCE_TEST_SEED").ok().map_or_else(clock_seed, |text| text.parse().expect("a seed"));
    println!("ATTENDANCE_TEST_SEED={seed}");
    let mut random = Random(seed);
    let folder = Folder::new();
    let acknowledged = Acknowledged::default();
    let started = Arc::new(AtomicU64::new(0));
    let mut cut_off = 0;
    let (mut caught, mut untold) = (0, 0);
    for round in 0..KILLS {
        let mut server = Server::start_on(&folder, &[]);
        let known = acknowledged.lock().unwrap().len() as u64;
        check_folder(&folder.data(), &acknowledged.lock().unwrap());
        let health = server.target().get("/health").await.body;
        let (encodings, labels) = (health["encodings"].as_u64().unwrap(), health["labels"].as_u64().unwrap());
        assert!((known..=known + cut_off).contains(&encodings), "{encodings} of {known} and {cut_off} cut off");
        assert!(labels <= encodings);
        repeat_some(&server.target(), &acknowledged, &mut random).await;
        assert_eq!(server.target().get("/health").await.body, health, "repeats add nothing");

        let before = started.load(Ordering::SeqCst);
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(enroll_until(server.target(), acknowledged.clone(), started.clone(), stop.clone()));
        }
        // Early kills hit the first enrolment, late ones come after several acknowledgements.
        tokio::time::sleep(Duration::from_millis(random.below(1200))).await;
        // Half of the kills come while a picture is being written, which takes only a small part of the time.
        if round % 2 == 1 {
            tokio::task::block_in_place(|| wait_for_unfinished(&folder.data()));
            tokio::time::sleep(Duration::from_micros(random.below(4000))).await;
        }
        server.kill();
        stop.store(true, Ordering::SeqCst);
        clients.join_all().await;
        let now = acknowledged.lock().unwrap().len() as u64;
        cut_off += started.load(Ordering::SeqCst) - before - (now - known);
        let (files, rows) = left_behind(&folder.data(), &acknowledged.lock().unwrap());
        caught += usize::from(files > 0 || rows > untold);
        untold = rows;
        println!(
            "kill {round}: {now} acknowledged so far; files without a row: {files}; rows nobody was told of: {rows}"
        );
    }
    let mut server = Server::start_on(&folder, &[]);
    check_folder(&folder.data(), &acknowledged.lock().unwrap());
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() >= KILLS, "only {} enrolments: the kills came too early to tell", acknowledged.len());
    assert!(caught > 0, "no kill came while something was written");
    for (n, (student, answer)) in &acknowledged {
        assert_eq!(enroll(&server.target(), student, *n).await.as_ref(), Some(answer), "picture {n} of {student}");
    }
    // An orderly stop leaves the same.
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(20)).await.code(), Some(0));
    check_folder(&folder.data(), &acknowledged);
    let listed = folder.run(&["students", "list"]).stdout;
    let students: HashSet<&String> = acknowledged.values().map(|(student, _)| student).collect();
    for student in students {
        let least = acknowledged.values().filter(|(s, _)| s == student).count();
        let line = listed.lines().find_map(|line| line.strip_prefix(&format!("{student}\t"))).unwrap_or_else(|| {
            panic!("{student} is not listed: {listed}");
        });
        assert!(line.parse::<usize>().unwrap() >= least, "{student}: {line} of {least}");
    }
}

/// Returns once a picture has a temporary name, or after a while without one.
fn wait_for_unfinished(data: &Path) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        if files(data).iter().any(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'))) {
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Returns every file in the students' folders. Some may be gone when it returns.
fn files(data: &Path) -> Vec<PathBuf> {
    let list = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    list(data.join("faces")).flat_map(list).collect()
}

/// Returns the number of files without a row and of rows without an acknowledgement, before the next start tidies up.
fn left_behind(data: &Path, acknowledged: &BTreeMap<u64, (String, Value)>) -> (usize, usize) {
    let Ok(db) = Connection::open(data.join("attendance.db")) else { return (0, 0) };
    let mut statement = db.prepare("SELECT digest FROM enrollment").unwrap();
    let rows: HashSet<String> = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).unwrap();
    let has_row = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        rows.contains(name.split(['.', '-']).next().unwrap_or_default())
    };
    let told: HashSet<String> = acknowledged.keys().map(|n| hex(&pictures::obama(*n))).collect();
    let strays = files(data).into_iter().filter(|path| !has_row(path)).count();
    (strays, rows.iter().filter(|digest| !told.contains(*digest)).count())
}

fn clock_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A generator of random moments (splitmix64). The same seed gives the same moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Enrols one picture after another until the server is gone. Seven students have several pictures each.
async fn enroll_until(target: Target, acknowledged: Acknowledged, started: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let n = started.fetch_add(1, Ordering::SeqCst);
        let student = format!("siswa-{}", n % 7);
        match enroll(&target, &student, n).await {
            Some(answer) => drop(acknowledged.lock().unwrap().insert(n, (student, answer))),
            None => return,
        }
    }
}

/// Returns the answer, or `None` if the server is gone.
async fn enroll(target: &Target, student: &str, n: u64) -> Option<Value> {
    let picture = Part::bytes(pictures::obama(n).to_vec()).file_name("photo");
    let form = Form::new().text("student_id", student.to_owned()).part("image", picture);
    let response = target.request(reqwest::Method::POST, "/enroll").multipart(form).send().await.ok()?;
    let status = response.status();
    let answer: Value = response.json().await.ok()?;
    assert_eq!((status.as_u16(), &answer["saved"]), (200, &json!(1)), "{answer}");
    Some(answer)
}

/// Sends a few acknowledged pictures again: each is answered as it was the first time.
async fn repeat_some(target: &Target, acknowledged: &Acknowledged, random: &mut Random) {
    let all = acknowledged.lock().unwrap().clone();
    for _ in 0..all.len().min(5) {
        let (n, (student, answer)) = all.iter().nth(random.below(all.len() as u64) as usize).unwrap();
        assert_eq!(enroll(target, student, *n).await.as_ref(), Some(answer), "picture {n} of {student}");
    }
}

/// Checks database and folder from outside: every acknowledged picture has its row, every row its files, every file its
/// row, and every file is whole.
fn check_folder(data: &Path, acknowledged: &BTreeMap<u64, (String, Value)>) {
    let db = Connection::open(data.join("attendance.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let mut statement = db.prepare("SELECT seq, student, digest, extension, saved FROM enrollment").unwrap();
    let rows: Vec<(u64, String, String, String, u64)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .and_then(Iterator::collect)
        .unwrap();
    let digests: HashSet<(&str, &str)> = rows.iter().map(|(_, student, digest, ..)| (&**student, &**digest)).collect();
    for (n, (student, _)) in acknowledged {
        let digest = hex(&pictures::obama(*n));
        assert!(digests.contains(&(student, &digest)), "picture {n} of {student} was acknowledged and is gone");
    }
    let mut expected = HashSet::new();
    for (seq, student, digest, extension, saved) in &rows {
        let folder = data.join("faces").join(student);
        let photo = folder.join(format!("{digest}.{extension}"));
        let bytes = std::fs::read(&photo).unwrap_or_else(|error| panic!("{}: {error}", photo.display()));
        assert_eq!(&hex(&bytes), digest, "{} is whole", photo.display());
        expected.insert(photo);
        let embeddings: u64 =
            db.query_row("SELECT count(*) FROM embedding WHERE enrollment = ?1", [seq], |row| row.get(0)).unwrap();
        assert_eq!(embeddings, *saved);
        for n in 0..*saved {
            let crop = folder.join(format!("{digest}-{n}.jpg"));
            let bytes = std::fs::read(&crop).unwrap_or_else(|error| panic!("{}: {error}", crop.display()));
            assert!(bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9]), "{} is whole", crop.display());
            expected.insert(crop);
        }
    }
    let (encodings, labels): (u64, u64) =
        db.query_row("SELECT encodings, labels FROM gallery", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let students: HashSet<&String> = rows.iter().map(|(_, student, ..)| student).collect();
    assert_eq!((encodings, labels), (rows.iter().map(|row| row.4).sum(), students.len() as u64), "the totals fit");
    for path in files(data) {
        assert!(expected.contains(&path), "{} has no row", path.display());
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
