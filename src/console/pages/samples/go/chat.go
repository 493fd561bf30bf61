package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
)

func main() {
	body, err := json.Marshal(map[string]any{
		"model": "{{model}}",
		"messages": []map[string]string{
			{"role": "user", "content": "{{hello}}"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	request, err := http.NewRequest("POST", "{{base_url}}/chat/completions", bytes.NewReader(body))
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
	var chat struct {
		Choices []struct {
			Message struct{ Content string }
		}
		Usage struct {
			TotalTokens int `json:"total_tokens"`
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&chat); err != nil {
		log.Fatal(err)
	}
	fmt.Println(chat.Choices[0].Message.Content)
	fmt.Println(chat.Usage.TotalTokens, "tokens")
}
