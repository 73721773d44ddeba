use attendance::Message;
use attendance::ports::Push;
use attendance_aws::Aws;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::storage::{dynamodb, fresh, stack};

#[tokio::test]
async fn a_connection_is_listed_until_it_is_closed() {
    let push = Aws::new(&fresh(&stack()).await).await.push();
    assert!(push.connections().await.expect("listed").is_empty());
    for connection in ["b", "a"] {
        push.connect(connection).await.expect("added");
    }
    let opening = false;
    assert_eq!(push.connections().await.expect("listed"), [("a".to_owned(), opening), ("b".to_owned(), opening)]);
    for _ in 0..2 {
        push.disconnect("a").await.expect("removed");
        assert_eq!(push.connections().await.expect("listed"), [("b".to_owned(), opening)]);
    }
}

#[tokio::test]
async fn a_message_is_kept_under_the_next_number() {
    let settings = fresh(&stack()).await;
    let push = Aws::new(&settings).await.push();
    for seq in 1..=3 {
        let (file, msg) = (format!("siswaA/{seq}.jpg"), "no face was found".to_owned());
        let message = Message::Refused { file: file.clone(), code: "no_face".into(), msg, ts: 1_727_580_000 };
        push.publish(&message).await.expect("published");
        let get = dynamodb().await.get_item().table_name(&settings.table).consistent_read(true);
        let get = get
            .key("pk", AttributeValue::S("messages".into()))
            .key("sk", AttributeValue::S(format!("message#{seq:020}")));
        let row = get.send().await.expect("read").item.expect("it is kept");
        let json: serde_json::Value = serde_json::from_str(row["json"].as_s().expect("text")).expect("JSON");
        assert_eq!((&json["seq"], &json["file"]), (&seq.into(), &file.into()));
    }
}
