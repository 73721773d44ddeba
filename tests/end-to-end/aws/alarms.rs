use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::stack::{Stack, variable};

pub(crate) async fn each_function_has_an_alarm_on_its_errors_and_one_on_its_throttles() {
    let stack = Stack::ready().await;
    let folders =
        fs::read_dir(variable("ATTENDANCE_TEST_FUNCTIONS")).expect("a folder").map(|entry| entry.expect("one"));
    let deployed: BTreeSet<String> = folders
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect();
    assert!(deployed.contains("Enroll"), "{deployed:?}");
    // Other cases make functions fail, beside this one too; none throttles one.
    for (metric, steps) in [("Errors", &[(1, "ALARM")][..]), ("Throttles", &[(0, "OK"), (1, "ALARM")])] {
        let alarms = stack.alarms(metric).await;
        // `attendance-Enroll-` and a random end.
        let watched = alarms.iter().map(|alarm| function(alarm).split('-').nth(1).expect("a name").to_owned());
        assert_eq!(watched.collect::<BTreeSet<String>>(), deployed, "{metric}");
        assert_eq!(alarms.len(), deployed.len());
        // The local stack adds up the points of all functions, so all alarms change at once. That each asks for its own function is
        // what the names above say.
        for &(count, expected) in steps {
            let data = json!([{"MetricName": metric, "Value": count, "Dimensions": alarms[0]["Dimensions"]}]);
            stack.cloudwatch("PutMetricData", json!({"Namespace": "AWS/Lambda", "MetricData": data})).await;
            for alarm in stack.alarms(metric).await {
                assert_eq!(alarm["StateValue"], expected, "{metric} of {}", function(&alarm));
            }
        }
    }
}

/// The function that an alarm watches over.
fn function(alarm: &Value) -> &str {
    alarm["Dimensions"][0]["Value"].as_str().unwrap_or_else(|| panic!("{alarm} is about no function"))
}
