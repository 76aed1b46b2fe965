//! The embedded cluster as `devcluster` and `demo` start it, read as `status` reads it.

use triton::cli::embedded::Embedded;
use triton::cli::records::ClusterArgs;

#[tokio::test]
async fn an_embedded_cluster_has_the_kind_of_the_record_and_no_releases() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let cluster = Embedded::start("127.0.0.1:0".parse().unwrap(), &["shop".into()]).await.unwrap();
    cluster.write_kubeconfig(&kubeconfig).unwrap();
    let records = ClusterArgs { kubeconfig: Some(kubeconfig), context: None }.records().await.unwrap();
    assert!(records.list().await.unwrap().is_empty());
    let id = "shop/checkout".parse().unwrap();
    let error = records.get(&id).await.unwrap_err();
    assert_eq!(error.to_string(), "the cluster has no record of shop/checkout");
}

#[tokio::test]
async fn a_name_that_no_namespace_can_have_is_refused() {
    let refusal =
        Embedded::start("127.0.0.1:0".parse().unwrap(), &["Not-A-Name".into()]).await.err().unwrap();
    assert!(refusal.to_string().contains("Not-A-Name"), "{refusal}");
}
