//! Keys, and pages of other origins.

use reqwest::Method;
use reqwest::multipart::Form;
use tokio_tungstenite::tungstenite::Error;

use crate::target::image;
use crate::{ACCESS_KEYS, Answer, Subscriber, Target, pictures};

/// Every route that needs a key.
const GUARDED: [(Method, &str); 7] = [
    (Method::GET, "/config"),
    (Method::POST, "/enroll"),
    (Method::POST, "/recognize"),
    (Method::POST, "/recognize/realtime"),
    (Method::DELETE, "/students/siswaA"),
    (Method::POST, "/mock/webhook"),
    (Method::GET, "/ws/recognitions"),
];

/// Each key is accepted in each of its forms; no other key is.
pub async fn a_key_opens_and_nothing_else_does(target: &Target) {
    let bare = target.with_key(None);
    for (method, path) in GUARDED {
        let request = || bare.request(method.clone(), path);
        let first = ACCESS_KEYS[0];
        let wrong = [
            request(),
            request().bearer_auth("wrong"),
            request().bearer_auth(&first[..first.len() - 1]),
            request().bearer_auth(format!("{first}x")),
            request().bearer_auth(""),
            request().header("X-Api-Key", "wrong"),
            request().header("Authorization", format!("Basic {first}")),
            request().header("X-Api-Key", ACCESS_KEYS.join(" ")),
        ];
        for request in wrong {
            // A deployed WebSocket has an address of its own.
            if path == "/ws/recognitions" && !target.ws().ends_with(path) {
                continue;
            }
            let answer = Answer::of(request).await;
            answer.is_error(401, "unauthorized");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        }
    }
    Answer::of(bare.request(Method::GET, &format!("/config?key={}", ACCESS_KEYS[0])))
        .await
        .is_error(401, "unauthorized");
    for key in ACCESS_KEYS {
        assert_eq!(bare.with_key(Some(key)).get("/config").await.status, 200);
        for request in [
            bare.request(Method::GET, "/config").header("X-Api-Key", key),
            bare.request(Method::GET, "/config").header("authorization", format!("bearer {key}")),
        ] {
            assert_eq!(Answer::of(request).await.status, 200);
        }
    }
    for path in ["/health", "/docs", "/openapi.json"] {
        assert_eq!(bare.get(path).await.status, 200, "{path} is open");
    }
}

/// A picture sent without a key is refused, and a client that sends first and reads later gets the answer.
pub async fn an_upload_without_a_key_gets_its_answer(target: &Target) {
    let form = Form::new().part("image", image(&pictures::photograph("obama3.jpg")));
    target.with_key(None).post("/recognize", form).await.is_error(401, "unauthorized");
}

/// A subscriber sends the key in the address.
pub async fn subscribers_need_a_key(target: &Target) {
    for key in [None, Some("wrong"), Some(&ACCESS_KEYS[0][1..])] {
        match Subscriber::connect(&target.with_key(key).subscription_url(None)).await.err().map(|error| *error) {
            Some(Error::Http(answer)) => assert_eq!(answer.status(), 401, "{key:?}"),
            other => panic!("{key:?}: {other:?}"),
        }
    }
    for key in ACCESS_KEYS {
        target.with_key(Some(key)).subscribe(None).await;
    }
}

/// A page of any origin may call, without credentials; a preflight needs no key.
pub async fn pages_of_other_origins_may_call(target: &Target) {
    let bare = target.with_key(None);
    for (method, path) in [("POST", "/recognize/realtime"), ("POST", "/enroll"), ("DELETE", "/students/siswaA")] {
        let request = bare.request(Method::OPTIONS, path);
        let request =
            request.header("Origin", "https://school.example").header("Access-Control-Request-Method", method);
        let answer =
            Answer::of(request.header("Access-Control-Request-Headers", "authorization,content-type,x-api-key")).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-allow-methods").contains(method), "{answer:?}");
        let headers = answer.header("access-control-allow-headers").to_ascii_lowercase();
        for name in ["authorization", "content-type", "x-api-key"] {
            assert!(headers.contains(name), "{headers}");
        }
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    let get =
        |target: &Target| Answer::of(target.request(Method::GET, "/config").header("Origin", "https://a.example"));
    for (answer, status) in [(get(target).await, 200), (get(&bare).await, 401)] {
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, "*"), "a page can read it");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}
