package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	body := `{
		"model": "{{model}}",
		"prompt": "A toll gate at dawn",
		"size": "1024x1024"
	}`
	request, err := http.NewRequest("POST", "{{base_url}}/images/generations", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer {{key}}")
	request.Header.Set("Content-Type", "application/json")

	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		log.Fatalf("%s: %s", answer.Status, text)
	}
	var list struct {
		Data []struct {
			// Go decodes base64 into bytes by itself
			Picture []byte `json:"b64_json"`
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("gate.png", list.Data[0].Picture, 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Println("gate.png is written")
}
