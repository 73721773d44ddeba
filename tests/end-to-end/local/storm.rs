//! A thousand events while everything fails.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attendance_end_to_end::{API_KEY, ENCODED_SECRET, Fault, PLAIN_SECRET, Proxy, Target, pictures};
use bytes::Bytes;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::process::{Folder, Server, Variable};
use crate::receiver::ReceiverProcess;

const EVENTS: usize = 1000;
const CLIENTS: usize = 6;
/// How long the storm goes on once everything was accepted, and how long the whole case may take on a busy machine.
const AFTERMATH: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(400);

/// What the clients were told.
#[derive(Default)]
struct Told {
    sent: AtomicUsize,
    queued: AtomicUsize,
    cut_off: AtomicUsize,
}

impl Told {
    fn acknowledged(&self) -> usize {
        self.sent.load(Ordering::SeqCst) + self.queued.load(Ordering::SeqCst)
    }
}

fn variables(proxy: &Proxy) -> Vec<Variable<'static>> {
    vec![
        ("ATTENDANCE_WEBHOOK_URL", proxy.url()),
        ("ATTENDANCE_API_KEY", API_KEY.into()),
        ("ATTENDANCE_HMAC_SECRET", format!("{PLAIN_SECRET} {ENCODED_SECRET}")),
        ("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", "0.5".into()),
        ("ATTENDANCE_RETRY_SCHEDULE", "1s".into()),
        ("EVENT_COOLDOWN_SECONDS", "0".into()),
        ("FACE_MIN_SIZE", "80".into()),
        ("RUST_LOG", "error".into()),
    ]
}

pub(crate) async fn a_thousand_events_in_random_faults_all_arrive_and_count_once() {
    let begun = Instant::now();
    let seed = std::env::var("ATTENDANCE_TEST_SEED")
        .ok()
        .map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a seed is a number"));
    println!("ATTENDANCE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let received = Folder::new();
    let mut receiver = ReceiverProcess::start(received.path());
    let proxy = Proxy::start_at("127.0.0.1:0", receiver.url(), random.u64(..)).await;
    let folder = Folder::new();
    let start = || tokio::task::block_in_place(|| Server::start_on(&folder, &variables(&proxy)));
    // Two on one folder, so that each meets what the other left.
    let mut servers = [start(), start()];
    servers[0].target().enroll("obama", &pictures::obama(0)).await;
    let targets = Arc::new(Mutex::new([servers[0].target(), servers[1].target()]));

    let told = Arc::new(Told::default());
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(post_frames(n, targets.clone(), told.clone()));
    }
    let (mut kills, mut round) = (0, 0);
    while told.acknowledged() < EVENTS {
        tokio::time::sleep(Duration::from_millis(random.u64(700..3000))).await;
        let which = random.usize(..2);
        round += 1;
        match round % 5 {
            3 => {
                proxy.set_down(true);
                tokio::time::sleep(Duration::from_millis(random.u64(300..1500))).await;
                proxy.set_down(false);
            }
            4 => {
                receiver.kill();
                receiver = ReceiverProcess::start(received.path());
                proxy.point_to(receiver.url());
            }
            _ => {
                servers[which].kill();
                servers[which] = start();
                targets.lock().unwrap()[which] = servers[which].target();
                kills += 1;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "only {} events were accepted in time", told.acknowledged());
    }
    clients.join_all().await;
    println!("{} events acknowledged, {kills} kills, after {:.0?}", told.acknowledged(), begun.elapsed());
    tokio::time::sleep(AFTERMATH).await;
    proxy.calm();
    let target = servers[0].target();
    while !target.events("pending").await.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{} events are pending", target.events("pending").await.len());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }

    assert_eq!(target.events("dead").await, HashSet::new());
    let stored = target.events("sent").await;
    let rows = receiver.exported().await;
    let counted: HashSet<String> = rows.iter().map(|row| row[6].clone()).collect();
    assert_eq!(counted.len(), rows.len(), "each once");
    assert_eq!(counted, stored, "every event of the outbox, and no other");
    let cut_off = told.cut_off.load(Ordering::SeqCst);
    let acknowledged = told.acknowledged();
    assert!(
        (acknowledged..=acknowledged + cut_off).contains(&stored.len()),
        "{} stored, {acknowledged} acknowledged, {cut_off} cut off",
        stored.len()
    );
    let arrived = proxy.arrived();
    let repeats = arrived.values().filter(|times| **times > 1).count();
    let tries: usize = proxy.met().values().sum();
    println!("{} events, {tries} tries, {repeats} arrived more than once: {:?}", stored.len(), proxy.met());
    println!("took {:.0?}", begun.elapsed());
    // Otherwise the case proves nothing.
    assert!(kills >= 3 && repeats > 20 && told.queued.load(Ordering::SeqCst) > 50, "{kills} kills, {repeats} repeats");
    assert_eq!(proxy.met().len(), 8, "every fault was met: {:?}", proxy.met());
    assert!(proxy.met()[&Fault::None] > 500);
}

/// Posts frames of somebody known and of somebody unknown until enough events are acknowledged.
async fn post_frames(n: usize, targets: Arc<Mutex<[Target; 2]>>, told: Arc<Told>) {
    let frames = [pictures::small(&pictures::obama(1)), pictures::small(&pictures::biden(1))];
    let mut frame = n;
    while told.acknowledged() < EVENTS {
        let target = targets.lock().expect("no test panics here")[frame / 2 % 2].clone();
        match post(&target, &frames[frame % 2]).await {
            Some(answer) => {
                let dispatch = answer["dispatch"].as_array().unwrap_or_else(|| panic!("{answer}"));
                for report in dispatch {
                    let counted = match report["report"]["status"].as_str() {
                        Some("sent") => &told.sent,
                        Some("failed") => &told.queued,
                        other => panic!("{other:?} in {answer}"),
                    };
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                assert_eq!(dispatch.len(), 1, "{answer}");
            }
            None => {
                told.cut_off.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        frame += 1;
    }
}

/// The answer, or `None` if the server is gone.
async fn post(target: &Target, frame: &Bytes) -> Option<Value> {
    let form = Form::new().part("image", Part::bytes(frame.to_vec()).file_name("frame"));
    let request = target.request(Method::POST, "/recognize/realtime?send_unknown=true&device_id=door").multipart(form);
    let response = request.send().await.ok()?;
    let status = response.status();
    let answer = response.json().await.ok()?;
    assert_eq!(status.as_u16(), 200, "{answer}");
    Some(answer)
}
