//! The admin API where the place itself is looked after: upstreams, configuration, health.

use serde_json::{Value, json};

use crate::support::console::Console;
use crate::support::gateway::Gateway;
use crate::support::{Reply, Upstream};

fn yaml(base_url: &str) -> String {
    format!(
        "edge: {{listen: [\"127.0.0.1:0\"]}}\nconsole: {{listen: \"127.0.0.1:0\"}}\nmetrics: {{listen: \"127.0.0.1:0\"}}\n\
         logging: {{level: info, format: json}}\n\
         storage: {{url: \"sqlite:data/tollgate.db\", durability: normal}}\nupstreams:\n\
         \x20 up: {{kind: openai, base_url: \"{base_url}\", api_keys: [sk-provider-secret], headers: {{x-team: hidden-team}}}}\n\
         \x20 claude: {{kind: anthropic, base_url: \"{base_url}\", api_keys: [sk-ant-secret]}}\n\
         \x20 demo: {{kind: demo}}\n\
         groups:\n  default: {{}}\nmodels:\n\
         \x20 m: {{upstreams: [{{name: up}}, {{name: claude}}], price: {{input: 1, output: 2}}}}\n\
         \x20 demo-chat: {{upstreams: [{{name: demo}}], price: {{input: 1, output: 2}}}}\n"
    )
}

async fn start(upstream: &Upstream) -> (Gateway, Console) {
    let mut gateway = Gateway::prepare_yaml(&yaml(&upstream.base_url()));
    gateway.launch();
    let operator = Console::operator(&gateway).await;
    (gateway, operator)
}

#[tokio::test]
async fn upstreams_are_shown_and_asked() {
    let upstream = Upstream::start(|request, _| match request.header("x-api-key") {
        Some(_) => Reply::error(401, "invalid key sk-ant-secret"),
        None => Reply::json(&json!({"object": "list", "data": []})),
    });
    let (gateway, operator) = start(&upstream).await;
    let listed = operator.get("/api/upstreams").await.expect(200);
    let find = |listed: &Value, name: &str| {
        listed["data"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
    };
    let up = find(&listed, "up");
    assert_eq!((&up["kind"], &up["state"], &up["usable"]), (&json!("openai"), &json!("closed"), &json!(true)));
    assert_eq!((&up["keys"], &up["models"]), (&json!({"total": 1, "resting": 0}), &json!(["m"])));
    assert_eq!((&up["last_probe"], &up["requests_24h"]), (&Value::Null, &json!(0)));

    let good = operator.post("/api/upstreams/up/probe", json!({})).await.expect(200);
    assert_eq!((&good["ok"], &good["status"]), (&json!(true), &json!(200)), "{good}");
    assert_eq!(upstream.last().line(), "GET /v1/models");
    assert_eq!(upstream.last().header("authorization"), Some("Bearer sk-provider-secret"));
    let bad = operator.post("/api/upstreams/claude/probe", json!({})).await.expect(200);
    assert_eq!((&bad["ok"], &bad["status"]), (&json!(false), &json!(401)), "{bad}");
    let demo = operator.post("/api/upstreams/demo/probe", json!({})).await.expect(200);
    assert_eq!(demo["ok"], true, "{demo}");
    operator.post("/api/upstreams/nobody/probe", json!({})).await.refused(404, "not_found");
    Console::token(&gateway, "read").post("/api/upstreams/up/probe", json!({})).await.refused(403, "forbidden");

    let listed = operator.get("/api/upstreams").await.expect(200);
    assert_eq!(find(&listed, "claude")["last_probe"]["status"], 401);
    for secret in ["sk-provider-secret", "sk-ant-secret", "hidden-team"] {
        assert!(!listed.to_string().contains(secret) && !bad.to_string().contains(secret), "{listed} {bad}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_masked_and_read_again() {
    let upstream = Upstream::hello();
    let (gateway, operator) = start(&upstream).await;
    let config = operator.get("/api/config").await.expect(200);
    assert_eq!(config["upstreams"]["up"]["api_keys"], json!(["••••"]));
    assert_eq!(config["upstreams"]["up"]["headers"], json!({"x-team": "••••"}));
    for secret in ["sk-provider-secret", "sk-ant-secret", "hidden-team"] {
        assert!(!config.to_string().contains(secret), "{config}");
    }

    let (program, reader) = (Console::token(&gateway, "config"), Console::token(&gateway, "read"));
    gateway.write_config(&format!(
        "{}  late: {{upstreams: [{{name: up}}], price: {{input: 1, output: 2}}}}\n",
        yaml(&upstream.base_url())
    ));
    program.post("/api/config/reload", json!({})).await.expect(200);
    let models = operator.get("/api/models").await.expect(200);
    assert!(models["data"].as_array().unwrap().iter().any(|row| row["id"] == "late"), "{models}");

    gateway.write_config("models: {m: {upstreams: [{name: nobody}]}}\nsurprise: 1\n");
    let said = program.post("/api/config/reload", json!({})).await;
    said.refused(422, "refused");
    let faults = said.json()["errors"].as_array().unwrap().clone();
    assert!(faults.len() >= 2, "every fault at once: {faults:?}");
    assert_eq!(operator.get("/api/models").await.expect(200), models, "the old one stays");
    let health = operator.get("/api/health").await.expect(200);
    assert_eq!(health["config"]["last_reload"]["ok"], false, "{health}");
    program.post("/api/config/reload", json!({"force": true})).await.refused(400, "invalid_request");
    reader.post("/api/config/reload", json!({})).await.refused(403, "forbidden");

    operator.post("/api/upstreams/up/probe", json!({})).await.expect(200);
    let log = operator.get("/api/actions").await.expect(200);
    let noted: Vec<_> = log["data"].as_array().unwrap().iter().take(3).collect();
    assert_eq!((&noted[0]["action"], &noted[0]["target"]), (&json!("upstream.probe"), &json!("up")), "{log}");
    assert_eq!((&noted[1]["action"], &noted[1]["after"]), (&json!("config.reload"), &json!({"taken": false})));
    assert_eq!((&noted[2]["action"], &noted[2]["after"]), (&json!("config.reload"), &json!({"taken": true})));
}

#[tokio::test]
async fn health_says_what_runs() {
    let upstream = Upstream::hello();
    let (gateway, operator) = start(&upstream).await;
    gateway.new_account("alice", "5");
    let health = operator.get("/api/health").await.expect(200);
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health["listeners"]["edge"], json!([format!("http://{}", gateway.edge())]));
    assert_eq!(health["listeners"]["console"], format!("http://{}", gateway.console()));
    assert_eq!((&health["storage"]["ok"], &health["storage"]["accounts"]), (&json!(true), &json!(2)), "{health}");
    assert!(
        health["storage"]["file_bytes"].as_u64().unwrap() > 0
            && health["storage"]["schema_version"].as_u64().unwrap() > 1
    );
    assert_eq!((&health["storage"]["keys"], &health["storage"]["people"]), (&json!(1), &json!(1)));
    assert_eq!((&health["ledger"]["holds_open"], &health["draining"]), (&json!(0), &json!(false)));
}
