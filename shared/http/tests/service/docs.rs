//! The OpenAPI document and its page.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::setup::service;

#[tokio::test]
async fn the_document_describes_every_route_and_code() {
    let document = service().get("/openapi.json").await.ok();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let paths = document["paths"].as_object().expect("paths");
    let routes: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().expect("operations").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let expected = [
        "POST /enroll",
        "POST /recognize",
        "POST /recognize/realtime",
        "GET /health",
        "GET /config",
        "POST /mock/webhook",
        "GET /students",
        "DELETE /students/{student_id}",
        "GET /events",
        "POST /events/{event_id}/replay",
        "GET /ws/recognitions",
    ];
    assert_eq!(routes, expected.map(str::to_owned).into());
    let text = document["paths"].to_string();
    for code in [
        "no_face",
        "invalid_image",
        "unauthorized",
        "not_found",
        "image_too_large",
        "unsupported_image",
        "unsupported_media_type",
        "missing_field",
        "duplicate_field",
        "invalid_student_id",
        "invalid_parameter",
        "multiple_faces",
        "internal",
        "unavailable",
        "overloaded",
    ] {
        assert!(text.contains(&format!("`{code}`")), "{code}");
    }
    let form = &document["paths"]["/enroll"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"];
    let form = resolve(&document, form);
    assert_eq!(form["required"], serde_json::json!(["student_id", "image"]));
    let schemes = document["components"]["securitySchemes"].as_object().expect("schemes");
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["api_key", "bearer"]);
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("what is referred to exists"),
        None => schema,
    }
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    fn visit(document: &Value, value: &Value, seen: &mut usize) {
        if value["$ref"].is_string() {
            resolve(document, value);
            *seen += 1;
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|value| visit(document, value, seen)),
            Value::Array(values) => values.iter().for_each(|value| visit(document, value, seen)),
            _ => {}
        }
    }
    let document = service().get("/openapi.json").await.ok();
    let mut seen = 0;
    visit(&document, &document, &mut seen);
    assert!(seen > 30, "{seen}");
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let service = service();
    let page = service.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("text/html")));
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    let html = std::str::from_utf8(&page.body).expect("text");
    assert!(!html.contains("//"), "{html}");
    let addresses: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|mark| html.split(mark).skip(1).filter_map(|rest| rest.split('"').next()))
        .collect();
    assert_eq!(addresses.len(), 6, "{addresses:?}");
    for address in addresses {
        let file = service.get(&format!("/{address}")).await;
        assert_eq!(file.status, 200, "{address}");
        assert!(!file.body.is_empty(), "{address}");
    }
    let start = service.get("/docs/swagger-initializer.js").await;
    let start = std::str::from_utf8(&start.body).expect("text");
    assert!(start.contains("openapi.json") && !start.contains("petstore"), "{start}");
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
}
