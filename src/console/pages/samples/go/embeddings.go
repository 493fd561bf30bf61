package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
)

func main() {
	body := `{
		"model": "{{model}}",
		"input": ["a toll gate", "a barrier across a road"]
	}`
	request, err := http.NewRequest("POST", "{{base_url}}/embeddings", strings.NewReader(body))
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
			Index     int
			Embedding []float64
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		log.Fatal(err)
	}
	for _, item := range list.Data {
		fmt.Println(item.Index, len(item.Embedding), "numbers")
	}
}
