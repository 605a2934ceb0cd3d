module portcullis.dev/examples/deny-paths

go 1.24
