//! Data and queues that plugins share: among those of one vm-id, and nobody else.

use portcullis_testkit::manifests::{join, wasm_plugin};
use portcullis_testkit::{Client, Upstream};

use crate::gateway::{Gateway, directory_with};
use crate::shop::{self, Shop, TO_BLUE, backends};
use crate::small_guests::{callback, on_configure, small_guest};

/// A shop with these plugins, in this order: name, functions, vm-id.
async fn shop_with(workers: &str, guests: &[(&str, &str, &str)]) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let mut documents = vec![shop::manifests(TO_BLUE), backends(&blue, &green)];
    for (place, (name, _, vm_id)) in guests.iter().enumerate() {
        let fields = format!("priority: {}\n", 100 - place);
        let object = wasm_plugin(name, &format!("./{name}.wasm"), &fields);
        let annotated =
            format!("  name: {name}\n  annotations: {{portcullis.dev/vm-id: \"{vm_id}\"}}\n");
        documents.push(object.replace(&format!("  name: {name}\n"), &annotated));
    }
    let directory = directory_with(&join(&documents));
    for (name, functions, _) in guests {
        let path = directory.path().join(format!("config/{name}.wasm"));
        std::fs::write(path, small_guest(functions)).unwrap();
    }
    let gateway = Gateway::start_in(directory, &["--workers", workers]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

#[tokio::test]
async fn data_is_shared_by_plugins_of_one_vm_id_alone() {
    let writes = callback(
        "on_request_headers",
        "(call $expect (call $host_set_shared $\"who\" $\"ann\" (i32.const 0)) (i32.const 0))",
    );
    let reads = callback(
        "on_request_headers",
        "(if (i32.eqz (call $host_get_shared $\"who\" (i32.const 512) (i32.const 516) (i32.const 520)))
           (then (call $add (i32.const 0) $\"x-who\" (i32.load (i32.const 512)) (i32.load (i32.const 516)))))",
    );
    for (vm_id, other, shared) in
        [("cache", "cache", true), ("cache", "other", false), ("", "", false)]
    {
        let guests = [("writes", &*writes, vm_id), ("reads", &*reads, other)];
        let mut shop = shop_with("1", &guests).await;
        let seen = shop.get("/").await.json()["headers"]["x-who"].clone();
        assert_eq!(seen == "ann", shared, "{vm_id} {other}: {seen}");
    }
}

#[tokio::test]
async fn an_element_is_told_to_one_instance_of_those_that_registered() {
    let listens = on_configure(
        "(call $expect (call $host_register $\"jobs\" (i32.const 520)) (i32.const 0))",
    ) + "(func (export \"proxy_on_queue_ready\") (param $root i32) (param $queue i32)
           (call $expect (call $host_dequeue (local.get $queue) (i32.const 512) (i32.const 516)) (i32.const 0))
           (call $log_given))";
    let puts = callback(
        "on_request_headers",
        "(call $expect (call $host_resolve $\"bus\" $\"jobs\" (i32.const 520)) (i32.const 0))
         (call $expect (call $host_get (i32.const 0) $\"x-job\" (i32.const 512) (i32.const 516)) (i32.const 0))
         (call $expect (call $host_enqueue (i32.load (i32.const 520)) (i32.load (i32.const 512)) (i32.load (i32.const 516))) (i32.const 0))",
    );
    let guests = [("listens", &*listens, "bus"), ("puts", &*puts, "bus")];
    let mut shop = shop_with("2", &guests).await;
    for job in ["job-1", "job-2", "job-3"] {
        assert_eq!(shop.get_with("/", "x-job", job).await.status, 200);
    }
    for job in ["job-1", "job-2", "job-3"] {
        let told = |line: &String| line.contains(job);
        if !shop.gateway.log.iter().any(told) {
            shop.gateway.wait_for_log(job).await;
        }
        assert_eq!(shop.gateway.log.iter().filter(|line| told(line)).count(), 1, "{job}");
    }
}
