package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
)

type event struct {
	Choices []struct {
		Delta struct{ Content string }
	}
	Error *struct{ Message string }
}

func main() {
	body := `{
		"model": "{{model}}",
		"messages": [{"role": "user", "content": "{{hello}}"}],
		"stream": true
	}`
	request, err := http.NewRequest("POST", "{{base_url}}/chat/completions", strings.NewReader(body))
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

	// ReadString takes lines of any length; a Scanner stops at 64 KiB
	reader := bufio.NewReader(answer.Body)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			log.Fatal("the stream was cut: ", err)
		}
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "data:") {
			continue
		}
		data := strings.TrimSpace(strings.TrimPrefix(line, "data:"))
		if data == "[DONE]" {
			break
		}
		var event event
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			log.Fatal(err)
		}
		if event.Error != nil {
			log.Fatal(event.Error.Message)
		}
		for _, choice := range event.Choices {
			fmt.Print(choice.Delta.Content)
		}
	}
	fmt.Println()
}
