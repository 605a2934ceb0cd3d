module portcullis.dev/guests/verdict

go 1.24
